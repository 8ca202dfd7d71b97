"""A real redis-server on a free port of the loopback interface, and everything that can be wrong with it.

It dies with its test. Commands are spoken to it directly, so nothing stands between the test and the fault. REDIS_SERVER names
another program in its place, such as valkey-server.
"""

import os
import shutil
import signal
import socket
import subprocess
import time

from measured import HOST, free_port

PROGRAM = os.environ.get("REDIS_SERVER", "redis-server")
PATIENCE_S = 15
STREAM = "corecast:hooks"


class Redis:
    """Keeps its port and, as an append-only file, its data when it is started again."""

    keeps = {"save": "", "appendonly": "yes"}

    def __init__(self, directory, starts=True):
        self.directory, self.port = directory, free_port()
        self.process = None
        directory.mkdir()
        if starts:
            self.start()

    @property
    def url(self):
        return f"redis://{HOST}:{self.port}/"

    def start(self):
        options = {"port": self.port, "bind": HOST, "dir": self.directory, **self.keeps}
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", PROGRAM, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        end = time.monotonic() + PATIENCE_S
        while not self.answers():
            assert self.process.poll() is None and time.monotonic() < end, f"{PROGRAM} does not start"
            time.sleep(0.02)

    def answers(self):
        try:
            return self.ask("PING") == "PONG"
        except (OSError, Refused):
            return False

    def kill(self):
        self.process.kill()
        self.process.wait()

    def forget_everything(self):
        """What it has on disk; it does not run then."""
        shutil.rmtree(self.directory)
        self.directory.mkdir()

    def pause(self):
        os.kill(self.process.pid, signal.SIGSTOP)

    def go_on(self):
        os.kill(self.process.pid, signal.SIGCONT)

    def close(self):
        if self.process and self.process.poll() is None:
            self.kill()

    def ask(self, *words, password=None):
        """The answer to one command, on a connection of its own."""
        with socket.create_connection((HOST, self.port), timeout=PATIENCE_S) as peer, peer.makefile("rb") as answers:
            if password:
                peer.sendall(command("AUTH", password))
                answer(answers)
            peer.sendall(command(*words))
            return answer(answers)


class Snapshots(Redis):
    """Keeps what it had when it was last told to SAVE."""

    keeps = {"save": "", "appendonly": "no"}


class Refused(Exception):
    """An error that Redis answers with."""


def command(*words):
    parts = [str(word).encode() for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)


def answer(lines):
    line = lines.readline().rstrip(b"\r\n")
    kind, rest = line[:1], line[1:].decode()
    if kind == b"-":
        raise Refused(rest)
    if kind == b":":
        return int(rest)
    if kind == b"$":
        return None if rest == "-1" else lines.read(int(rest) + 2)[:-2].decode()
    if kind == b"*":
        return None if rest == "-1" else [answer(lines) for _ in range(int(rest))]
    return rest
