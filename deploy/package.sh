#!/usr/bin/env bash
# Builds packages of Corecast for this machine's architecture.
#
#   deploy/package.sh deb    target/debian/corecast_VERSION_ARCH.deb; needs `cargo install --locked cargo-deb`
#   deploy/package.sh rpm    target/generate-rpm/corecast-VERSION.ARCH.rpm; needs `cargo install --locked cargo-generate-rpm`
#
# What stands behind the kind is given to cargo-deb or cargo-generate-rpm. engine/Cargo.toml says what is in a package.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly BINARY=target/release/corecast
# What the binary writes about itself.
readonly PAPERS=target/release/package

main() {
    local kind=${1-}
    case $kind in
        deb | rpm) shift ;;
        *) printf 'usage: deploy/package.sh deb|rpm [OPTION...]\n' >&2; exit 2 ;;
    esac
    cargo build --locked --release --package corecast
    write_papers
    "pack_$kind" "$@"
}

write_papers() {
    rm -rf "$PAPERS"
    mkdir -p "$PAPERS/completions"
    "$BINARY" man "$PAPERS/man" >/dev/null
    gzip --best --no-name "$PAPERS"/man/*.1
    "$BINARY" completions bash >"$PAPERS/completions/corecast"
    "$BINARY" completions zsh >"$PAPERS/completions/_corecast"
    "$BINARY" completions fish >"$PAPERS/completions/corecast.fish"
    gzip --best --no-name <CHANGELOG.md >"$PAPERS/CHANGELOG.md.gz"
}

pack_deb() {
    cargo deb --no-build --strip --package corecast "$@"
}

pack_rpm() {
    strip --strip-unneeded -o "$PAPERS/corecast" "$BINARY"
    cargo generate-rpm --package engine "$@"
}

main "$@"
