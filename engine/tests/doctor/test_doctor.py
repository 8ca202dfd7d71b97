"""Everything that can be wrong with a machine is named with what to do about it, and what is well is not complained of."""

import errno
import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from certificates import Pair
from clocks import WrongClock
from examined import Examined, has
from measured import APP_ID, BINARY, HOST, KEY, SECRET, THE_APP, Measured, free_port
from seccomp import forbid_io_uring

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs/doctor.md"
# Where the packages for Node are installed.
NODE_TESTS = ROOT / "target/sdk/node"
TEN_MINUTES_S = 600
CURES_OF_A_RING = ["io_uring_setup", "kernel.io_uring_disabled=0", "ulimit -l"]


def test_a_good_machine_has_no_failure():
    examined = Examined()
    assert examined.failures() == [], examined.checks
    for name in ["settings", "apps", "io_uring", "seccomp", "threads", "clock", "redis", "port", "server"]:
        assert all(check["state"] == "ok" for check in examined.named(name)), examined.named(name)
    for name in ["kernel", "kernel.io_uring_disabled", "memlock", "nofile", "cores", "numa", "irq_affinity", "rps", "somaxconn", "port_range"]:
        assert examined.named(name)
    assert set(examined.said["clients"]) == {"pusher-js", "laravel-echo", "php", "node", "python"}


def test_readers_get_a_line_for_each_check_and_the_lines_of_clients_at_the_end(tmp_path):
    config = tmp_path / "corecast.toml"
    config.write_text(
        f'listen = "{HOST}:{free_port()}"\nadmin = "off"\n[[apps]]\nid = "{APP_ID}"\nkey = "{KEY}"\nsecret = "{SECRET}"\n'
    )
    done = subprocess.run([BINARY, "doctor", "--config", config], capture_output=True, text=True, check=True)
    checks, _, clients = done.stdout.partition(" ok\n\n")
    lines = checks.splitlines()
    assert lines[0].split()[:2] == ["ok", "settings"] and str(config) in lines[0], lines[0]
    assert any(line.split()[:2] == ["ok", "io_uring"] for line in lines), checks
    assert f"{config}:6" in clients and f'new Pusher("{KEY}"' in clients, clients
    assert SECRET not in done.stdout


@pytest.mark.parametrize("error", [errno.EPERM, errno.ENOSYS])
def test_a_ring_that_seccomp_forbids_is_named_with_all_three_cures(error):
    examined = Examined(before=lambda: forbid_io_uring(error))
    assert examined.failures() == ["io_uring", "seccomp"]
    has(examined.one("io_uring"), "fail", "a seccomp filter forbids it", "seccomp profile")
    for cure in CURES_OF_A_RING:
        assert cure in examined.one("io_uring")["cure"]
    has(examined.one("seccomp"), "fail", "forbids io_uring", "io_uring_register")


def test_256_open_files_are_too_few():
    examined = Examined(before=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256)))
    assert examined.failures() == ["nofile"]
    has(examined.one("nofile"), "fail", "256 open files", "LimitNOFILE")


def test_a_soft_limit_of_open_files_is_raised_as_a_start_does():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    examined = Examined(before=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard)))
    has(examined.one("nofile"), "ok", str(hard), "")


def test_certificates_are_judged_by_key_and_days(tmp_path):
    good, other = Pair(tmp_path, "good.example.com"), Pair(tmp_path, "other.example.com")
    short, over = Pair(tmp_path, "short.example.com", days=5), Pair(tmp_path, "over.example.com", days=30, days_ago=60)

    def examined(cert, key):
        return Examined("--tls-listen", f"{HOST}:{free_port()}", "--tls-cert", cert, "--tls-key", key)

    well = examined(good.cert, good.key)
    has(well.one("certificate"), "ok", "days left", "")
    assert 'wsHost: "good.example.com"' in well.said["clients"]["pusher-js"]
    for cert, key, state, what, cure in [
        (good.cert, other.key, "fail", "not the key of the certificate", "openssl x509"),
        (good.key, good.key, "fail", "no certificate in it", "openssl x509"),
        (tmp_path / "absent.pem", good.key, "fail", "absent.pem: cannot be read", "PEM"),
        (over.cert, over.key, "fail", "expired", "renew it"),
        (short.cert, short.key, "warn", " day(s) left", "renew it"),
    ]:
        found = examined(cert, key)
        has(found.one("certificate"), state, what, cure)
        assert found.failures() == (["certificate"] if state == "fail" else []), found.checks
    good.key.chmod(0o644)
    has(examined(good.cert, good.key).named("certificate")[1], "warn", "may read the private key", "chmod 600")


def test_a_full_disk_and_one_that_may_become_full_are_named(disk):
    hook = ["--webhook", f"http://{HOST}:{free_port()}/", "--data-dir", disk.data]
    small = Examined(*hook)
    has(small.named("data_directory")[0], "warn", "room for", "journal_bytes_max")
    has(small.named("data_directory")[1], "warn", "in memory (tmpfs)", "on a disk")
    disk.fill(left_bytes=0)
    full = Examined(*hook)
    assert full.failures() == ["data_directory"]
    has(full.one("data_directory"), "fail", "has room for 0 bytes only", "the disk is full")
    disk.remount("ro")
    has(Examined(*hook).one("data_directory"), "fail", "Read-only file system", "mount it writable")
    assert not disk.data.exists(), "the doctor makes nothing"


def test_a_redis_that_may_throw_events_away_is_named(redis, tmp_path):
    streamed = ["--redis", redis.url, "--data-dir", tmp_path / "data"]
    well = Examined(*streamed)
    assert well.failures() == [], well.checks
    has(well.one("redis"), "ok", redis.url, "")
    has(well.one("redis_persistence"), "ok", "append-only", "")
    has(well.one("clock"), "ok", redis.url, "")
    redis.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    redis.ask("CONFIG", "SET", "appendonly", "no")
    found = Examined(*streamed)
    assert found.failures() == ["redis_eviction_policy"]
    has(found.one("redis_eviction_policy"), "fail", "allkeys-lru", "CONFIG SET maxmemory-policy noeviction")
    has(found.one("redis_persistence"), "warn", "nothing is kept", "appendonly yes")


def test_a_redis_that_cannot_be_asked_is_named_without_its_password(redis, tmp_path):
    def examined(url):
        return Examined("--redis", url, "--data-dir", tmp_path / "data")

    redis.ask("CONFIG", "SET", "requirepass", "right")
    refused = examined(f"redis://:{SECRET}@{HOST}:{redis.port}/")
    assert refused.failures() == ["redis"]
    has(refused.one("redis"), "fail", ":***@", "the password in redis_url")
    redis.kill()
    gone = examined(redis.url)
    has(gone.one("redis"), "fail", "Connection refused", "whether Redis runs")


def test_it_says_at_how_much_memory_newcomers_wait(tmp_path):
    has(Examined().one("load"), "ok", "newcomers are told to come back from", "")
    config = tmp_path / "corecast.toml"
    config.write_text(f"[load]\nmemory_high_bytes = {1 << 50}\n")
    has(Examined("--config", config).one("load"), "warn", "that never comes", "memory_high_bytes")


def test_what_keeps_nodes_apart_is_named(redis):
    well = Examined("--cluster", redis.url)
    assert well.failures() == [], well.checks
    has(well.one("cluster"), "ok", f"{HOST}:{redis.port} answers", "")
    has(well.one("cluster_version"), "ok", "7.", "")
    has(well.one("cluster_persistence"), "warn", "once for each node", "appendonly no")
    has(well.one("cluster_round_trip"), "ok", " ms", "")
    has(well.one("cluster_map"), "ok", "no node has joined", "")
    has(well.one("clock"), "ok", f"{HOST}:{redis.port}", "")
    redis.ask("CONFIG", "SET", "maxmemory-policy", "volatile-lru")
    redis.ask("CONFIG", "SET", "appendonly", "no")
    redis.ask("SET", "{corecast}:map", "protocol 1, server 2 of 2")
    found = Examined("--cluster", redis.url)
    assert found.failures() == ["cluster_eviction_policy", "cluster_map"]
    has(found.one("cluster_eviction_policy"), "fail", "volatile-lru", "CONFIG SET maxmemory-policy noeviction")
    has(found.one("cluster_persistence"), "ok", "nothing is kept", "")
    has(found.one("cluster_map"), "fail", "server 2 of 2», and these settings «protocol 1, server 1 of 1", "the same order")
    redis.ask("SET", "{other}:map", "protocol 1, server 1 of 1")
    other = Examined("--cluster", redis.url, "--cluster-prefix", "other")
    has(other.one("cluster_map"), "ok", "the same list", "")


def test_a_server_of_a_cluster_that_cannot_be_asked_is_named_without_its_password(redis):
    redis.ask("CONFIG", "SET", "requirepass", "right")
    refused = Examined("--cluster", f"redis://:{SECRET}@{HOST}:{redis.port}/")
    assert refused.failures() == ["cluster"]
    has(refused.one("cluster"), "fail", "WRONGPASS", "credentials")
    redis.kill()
    gone = Examined("--cluster", redis.url)
    has(gone.one("cluster"), "fail", f"{HOST}:{redis.port}", "that it runs")


@pytest.mark.parametrize(("ahead_s", "state", "words"), [(TEN_MINUTES_S, "fail", "600 s behind"), (-5, "warn", "5 s ahead of")])
def test_a_clock_that_differs_from_that_of_redis_is_named(redis, ends, tmp_path, ahead_s, state, words):
    ends.append(WrongClock(redis, ahead_s))
    examined = Examined("--redis", ends[-1].url, "--data-dir", tmp_path / "data")
    has(examined.one("redis"), "ok", ends[-1].url, "")
    has(examined.one("clock"), state, words, "NTP")


def test_a_clock_that_is_faked_is_named_without_any_redis():
    examined = Examined(under=["faketime", "-f", "+10m"])
    assert examined.failures() == ["clock"]
    has(examined.one("clock"), "fail", "s ahead of the kernel's", "libfaketime")


def test_ports_are_free_or_ours_or_taken(server):
    listen = ["--listen", f"{HOST}:{server.port}", "--admin", f"{HOST}:{server.admin}"]
    beside = Examined(listen=listen)
    assert beside.failures() == [], beside.checks
    for check in beside.named("port"):
        has(check, "ok", f"belongs to the Corecast that runs (process {server.process.pid})", "")
    has(beside.one("server"), "ok", f"process {server.process.pid} is ready", "")
    with socket.create_server((HOST, 0)) as other:
        address = f"{HOST}:{other.getsockname()[1]}"
        taken = Examined(listen=["--listen", address, "--admin", "off"])
        assert taken.failures() == ["port"]
        has(taken.one("port"), "fail", f"(process {os.getpid()})", "--listen")


def test_a_path_of_the_file_system_is_free_or_taken_too(tmp_path):
    path = tmp_path / "corecast.sock"

    def examined():
        return Examined(listen=["--listen", f"unix:{path}", "--admin", "off"])

    free = examined()
    assert free.failures() == [] and not path.exists(), free.checks
    has(free.one("port"), "ok", f"unix:{path} is free", "")
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        has(examined().one("port"), "fail", "taken by another process", "--listen")
    path.unlink()
    path.write_text("")
    has(examined().one("port"), "fail", "no socket", "another path")


def test_a_server_that_does_not_answer_is_named(server):
    listen = ["--listen", f"{HOST}:{server.port}", "--admin", f"{HOST}:{server.admin}"]
    server.process.send_signal(signal.SIGSTOP)
    try:
        hangs = Examined(listen=listen)
    finally:
        server.process.send_signal(signal.SIGCONT)
    assert hangs.failures() == ["server"]
    has(hangs.one("server"), "fail", "no answer in time", "its log")


def test_the_lines_of_clients_work_as_they_are_pasted(server):
    lines = Examined(listen=["--listen", f"{HOST}:{server.port}", "--admin", "off"]).said["clients"]
    in_python = f"import os, pusher\n{lines['python']}\nprint(pusher_client.channels_info())\n"
    assert run([sys.executable, "-c", in_python]) == "{'channels': {}}\n"
    in_node = f"""import Pusher from "pusher";
        {lines["node"]}
        console.log(await (await pusher.get({{ path: "/channels" }})).text());"""
    assert run(["node", "--input-type=module", "-e", in_node]) == '{"channels":{}}\n'
    in_pusher_js = f"""import Pusher from "pusher-js";
        {lines["pusher-js"]}
        pusher.connection.bind("connected", () => {{ console.log("connected"); pusher.disconnect(); }});"""
    assert run(["node", "--input-type=module", "-e", in_pusher_js]) == "connected\n"
    in_echo = f"""import Pusher from "pusher-js";
        import Echo from "laravel-echo";
        globalThis.window = globalThis;
        {lines["laravel-echo"]}
        window.Echo.connector.pusher.connection.bind("connected", () => {{ console.log("connected"); window.Echo.disconnect(); }});"""
    assert run(["node", "--input-type=module", "-e", in_echo]) == "connected\n"
    # The order and the names that Pusher's SDK has.
    in_php = f"""namespace Pusher {{ class Pusher {{ function __construct($key, $secret, $id, $options) {{
        echo json_encode([$key, $secret, $id, $options]); }} }} }}
        namespace {{ {lines["php"]} }}"""
    options = {"host": HOST, "port": server.port, "scheme": "http", "useTLS": False}
    assert json.loads(run(["php", "-r", in_php])) == [KEY, SECRET, APP_ID, options]


def run(command):
    """What a program prints that is given the secret as an operator gives it."""
    environment = {**os.environ, "PUSHER_APP_SECRET": SECRET}
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False, env=environment, cwd=NODE_TESTS
    )
    assert done.returncode == 0, done
    return done.stdout


def test_a_limit_of_locked_memory_is_judged_by_what_the_rings_take():
    def examined(bytes_max):
        limit = (bytes_max, bytes_max)
        return Examined(
            "--shards",
            "7",
            # Root may lock what it likes, unless that was taken from it.
            under=["setpriv", "--bounding-set", "-ipc_lock", "--inh-caps", "-ipc_lock"] if os.geteuid() == 0 else [],
            before=lambda: resource.setrlimit(resource.RLIMIT_MEMLOCK, limit),
        )

    small = examined(64 << 10)
    has(small.one("memlock"), "fail", "the limit is 64 KiB", "LimitMEMLOCK=infinity")
    has(examined(8 << 20).one("memlock"), "warn", "smaller than they could be", "LimitMEMLOCK=infinity")
    has(small.one("cores"), "warn", "7 shard(s)", "--shards")


def test_a_data_directory_of_another_server_is_named(tmp_path):
    hook = ["--webhook", f"http://{HOST}:{free_port()}/", "--data-dir", tmp_path / "data"]
    server = Measured(arguments=list(map(str, hook)))
    try:
        found = Examined(*hook)
        ours = Examined(*hook, listen=["--listen", f"{HOST}:{server.port}", "--admin", f"{HOST}:{server.admin}"])
    finally:
        server.stop()
    assert found.failures() == ["data_directory"]
    has(found.named("data_directory")[-1], "fail", f"in use by process {server.process.pid}", "--data-dir")
    assert ours.failures() == [], ours.checks


def test_a_data_directory_that_others_may_write_in_is_named_and_left_as_it_is(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    data.chmod(0o777)
    hook = ["--webhook", f"http://{HOST}:{free_port()}/", "--data-dir", data]
    assert Examined(*hook).failures() == [], "a start takes the rights of others away"
    (data / "theirs").write_text("")
    found = Examined(*hook)
    assert found.failures() == ["data_directory"]
    has(found.one("data_directory"), "fail", "others may write in", "chmod 700")
    assert data.stat().st_mode & 0o777 == 0o777


def test_the_page_has_every_check(redis, tmp_path):
    rows = re.findall(r"^\| `([a-z_.]+)` \|", PAGE.read_text(), re.MULTILINE)
    examined = Examined("--redis", redis.url, "--data-dir", tmp_path / "data", "--cluster", redis.url)
    assert sorted(set(rows)) == sorted({check["name"] for check in examined.checks})
    assert len(rows) == len(set(rows))


def test_settings_that_cannot_be_read_are_named_and_the_machine_is_looked_at(tmp_path):
    config = tmp_path / "corecast.toml"
    config.write_text("listen = 5\n")
    examined = Examined("--config", config, app=(), listen=["--admin", "off"])
    assert examined.failures() == ["settings"]
    has(examined.one("settings"), "fail", f"{config}:1", "config check")
    has(examined.one("io_uring"), "ok", "works", "")
    without_app = Examined(app=())
    has(without_app.one("apps"), "fail", "no app", THE_APP[0])
