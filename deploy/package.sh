#!/usr/bin/env bash
# Builds what a release consists of, for this machine's architecture.
#
#   deploy/package.sh deb     target/debian/corecast_VERSION_ARCH.deb; needs `cargo install --locked cargo-deb`
#   deploy/package.sh sbom    target/sbom/corecast.cdx.json, everything that is compiled into the server, as CycloneDX; needs
#                             `cargo install --locked cargo-cyclonedx`
#
# What stands behind `deb` is given to cargo-deb. engine/Cargo.toml says what is in that package.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly BINARY=target/release/corecast
# What the binary writes about itself.
readonly PAPERS=target/release/package

main() {
    local kind=${1-}
    case $kind in
        deb | sbom) shift ;;
        *) printf 'usage: deploy/package.sh deb|sbom [OPTION...]\n' >&2; exit 2 ;;
    esac
    "pack_$kind" "$@"
}

pack_deb() {
    cargo build --locked --release --package corecast
    write_papers
    cargo deb --no-build --strip --package corecast "$@"
}

# Man pages are compressed here, as Debian wants them.
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

pack_sbom() {
    mkdir -p target/sbom
    cargo cyclonedx --manifest-path engine/Cargo.toml --format json --describe binaries --quiet
    mv engine/corecast_bin.cdx.json target/sbom/corecast.cdx.json
    # It describes every binary of the workspace.
    rm -f loadtest/corecast-loadtest_bin.cdx.json
    printf 'target/sbom/corecast.cdx.json\n'
}

main "$@"
