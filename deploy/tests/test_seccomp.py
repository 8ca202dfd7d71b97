"""The server and all that it does under the profile of deploy/docker/seccomp.json, and what the profile forbids."""

import ctypes
import errno
import json
import os
import signal
import stat
import subprocess
import sys

import pusher
import pyseccomp
import pytest

from certificates import Pair
from confined import confine
from conftest import TREE
from connection import Connection
from measured import THE_APP, Measured
from nodes import Node, wait_until
from receiver import Receiver
from server import APP_ID, BINARY, HOST, KEY, SECRET, free_port
from streams import Redis

PROFILE = TREE / "deploy/docker/seccomp.json"
RINGS = {"io_uring_setup", "io_uring_enter", "io_uring_register"}
# What no server has to do, by what it would be good for.
FORBIDDEN = {
    "mount", "umount2", "pivot_root", "chroot", "unshare", "setns", "ptrace", "process_vm_readv", "bpf", "perf_event_open",
    "userfaultfd", "keyctl", "add_key", "kexec_load", "init_module", "finit_module", "reboot", "swapon", "open_by_handle_at",
    "syslog", "settimeofday", "clock_settime", "personality", "acct", "quotactl", "mknod", "mknodat", "ioperm", "iopl",
}  # fmt: skip
PATIENCE_S = 30


@pytest.fixture
def confined(tmp_path):
    """The binary as a container runtime starts it."""
    path = tmp_path / "confined"
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{TREE}/deploy/tests/confined.py" "{PROFILE}" "{BINARY}" "$@"\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_tls_every_kind_of_hook_and_a_reload_work_under_the_profile(ends, confined, tmp_path):
    ends.append(receiver := Receiver())
    of_file, of_command = tmp_path / "events.jsonl", tmp_path / "from-command.jsonl"
    app = f'[[apps]]\nid = "{APP_ID}"\nkey = "{KEY}"\nsecret = "{SECRET}"\n'
    endpoints = [f'url = "{receiver.url}"', f'file = "{of_file}"', f'exec = ["/bin/sh", "-c", "cat >> {of_command}"]']
    settings = tmp_path / "corecast.toml"
    settings.write_text(f'[hooks]\ndata_dir = "{tmp_path}/hooks"\n{app}' + "".join(f"[[apps.hooks]]\n{it}\n" for it in endpoints))
    secure, pair = free_port(), Pair(tmp_path, "localhost")
    arguments = ["--config", str(settings), "--tls-listen", f"{HOST}:{secure}", *map(str, pair.flags())]
    server = Measured(confined, arguments, app=())
    assert seccomp_mode(server.process.pid) == 2
    client = Connection(server, pusher.Pusher(APP_ID, KEY, SECRET, host=HOST, port=server.port, ssl=False))
    client.subscribe("presence-hall", {"user_id": "ada"})
    wait_until(lambda: any(event["name"] == "member_added" for _, event in receiver.events()), server.output)
    for path in (of_file, of_command):
        wait_until(lambda: path.exists() and "member_added" in path.read_text(), server.output)
    trusts = ["-CAfile", pair.cert, "-verify_return_error", "-brief"]
    shaken = subprocess.run(
        ["openssl", "s_client", "-connect", f"{HOST}:{secure}", *trusts],
        input=b"",
        capture_output=True,
        timeout=PATIENCE_S,
        check=True,
    )
    assert b"TLSv1.3" in shaken.stderr, shaken
    settings.write_text(settings.read_text().replace(app, app + "subscription_count = false\n"))
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "SIGHUP: " in server.output(), server.output)
    client.close()
    server.stop()


def test_nodes_are_joined_by_redis_under_the_profile(ends, confined, tmp_path):
    ends.append(redis := Redis(tmp_path / "redis"))
    nodes = [Node(redis, 1, [], binary=confined) for _ in range(2)]
    ends += nodes
    for node in nodes:
        node.wait_until_joined()
    client = nodes[0].connect()
    client.subscribe("news")
    nodes[1].sdk.trigger("news", "said", "across")
    assert client.wait_for("said", "news") == ["across"]


def test_health_is_asked_and_answered_under_the_profile(confined):
    server = Measured(confined, app=THE_APP)
    url = f"http://{HOST}:{server.admin}/live"

    def health():
        environment = {"CORECAST_ADMIN": f"{HOST}:{server.admin}"}
        done = subprocess.run([confined, "health"], env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        return done.returncode, done.stdout + done.stderr

    assert health() == (0, f"{url}: good\n")
    server.stop()
    code, told = health()
    assert code == 1 and url in told, told


def test_the_doctor_finds_nothing_forbidden_under_the_profile(confined):
    command = [confined, "doctor", "--json", "--app", "1:k:s", "--listen", f"{HOST}:{free_port()}", "--admin", f"{HOST}:{free_port()}"]
    told = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False, env={})
    checks = {check["name"]: check for check in json.loads(told.stdout)["checks"]}
    assert checks["io_uring"]["state"] == "ok", checks["io_uring"]
    assert checks["seccomp"]["state"] == "ok", checks["seccomp"]


def test_the_profile_is_an_allow_list_with_the_rings_and_without_what_containers_must_not_do():
    profile = json.loads(PROFILE.read_text())
    assert profile["defaultAction"] == "SCMP_ACT_ERRNO" and profile["defaultErrnoRet"] == errno.EPERM
    entries = profile["syscalls"]
    allowed = [name for entry in entries if entry["action"] == "SCMP_ACT_ALLOW" for name in entry["names"]]
    assert RINGS <= set(allowed)
    assert not FORBIDDEN & set(allowed)
    # Only what is allowed for some arguments stands more than once.
    assert {name for name in allowed if allowed.count(name) > 1} == {"socket"}
    assert all(entry.get("comment") for entry in entries)


@pytest.mark.parametrize(
    ("name", "arguments", "error"),
    [
        ("unshare", (0x10000000,), errno.EPERM),
        ("clone", (0x10000000 | signal.SIGCHLD, 0), errno.EPERM),
        ("clone3", (0, 0), errno.ENOSYS),
        ("ptrace", (0, 0, 0, 0), errno.EPERM),
        ("keyctl", (0, 0, 0, 0), errno.EPERM),
        ("socket", (17, 3, 0), errno.EPERM),
        ("socket", (40, 1, 0), errno.EPERM),
        ("personality", (0xFFFFFFFF,), errno.EPERM),
    ],
)
def test_a_call_that_is_not_allowed_fails_as_in_docker(name, arguments, error):
    assert outcome(name, arguments) == error


def test_what_is_allowed_is_done():
    # A ring without parameters is an error of the kernel, not of the filter.
    assert outcome("io_uring_setup", (0, 0)) == errno.EFAULT
    assert outcome("getppid", ()) == 0
    assert outcome("socket", (1, 1, 0)) == 0


def outcome(name, arguments):
    """The error of one call in a process of its own under the profile, or 0."""
    number = pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name)
    profile = json.loads(PROFILE.read_text())
    child = os.fork()
    if child == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        confine(profile)
        result = libc.syscall(number, *map(ctypes.c_ulong, arguments))
        os._exit(ctypes.get_errno() if result == -1 else 0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def seccomp_mode(pid):
    with open(f"/proc/{pid}/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("Seccomp:"))

