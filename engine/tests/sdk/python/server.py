"""Corecast as a child process, for the Python tests: the built binary on a free port of the loopback interface.

It dies with its test run, and its stop by SIGTERM is a test as well: the exit code must be 0. CORECAST_BIN names the
binary, CORECAST_SHARDS how many shards it gets.
"""

import os
import random
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

# The id is a number, since the SDK takes no other.
APP_ID, KEY, SECRET = "7001", "sdk-key", "sdk-secret"
HOST = "127.0.0.1"
THE_APP = ("--app", f"{APP_ID}:{KEY}:{SECRET}")
SHARDS = int(os.environ.get("CORECAST_SHARDS", "1"))
BINARY = os.environ.get("CORECAST_BIN", str(Path(__file__).parents[4] / "target/release/corecast"))
START_S_MAX = 15
STOP_S_MAX = 20


class Server:
    """One running server; made ready by its construction."""

    def __init__(self, binary=BINARY, arguments=(), shards=SHARDS, app=THE_APP):
        self.binary, self.arguments, self.shards, self.app = binary, arguments, shards, app
        for _ in range(5):
            self._spawn(free_port())
            if self._becomes_ready():
                return
            if "port" not in self.output() and "address" not in self.output():
                break
        raise RuntimeError(f"the server at {binary} did not become ready:\n{self.output()}")

    def stop(self):
        """Stops the server by SIGTERM. It must end by itself, in time, with exit code 0."""
        self.process.terminate()
        try:
            code = self.process.wait(timeout=STOP_S_MAX)
        except subprocess.TimeoutExpired:
            code = "still running"
            self._kill()
        assert code == 0, f"the server did not stop cleanly ({code}):\n{self.output()}"

    def start_again(self):
        """The same on the same port, after its end."""
        self._spawn(self.port)
        assert self._becomes_ready(), self.output()

    def output(self):
        """What the server has printed so far."""
        self.log.seek(0)
        return self.log.read()

    def _spawn(self, port):
        self.port = port
        self.log = tempfile.TemporaryFile("w+")
        command = [self.binary, "serve", "--listen", f"{HOST}:{port}", *self.app]
        # With a parent-death signal no server outlives a test run that is killed.
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *command, "--shards", str(self.shards), *self.arguments],
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=subprocess.STDOUT,
        )

    def _becomes_ready(self):
        end = time.monotonic() + START_S_MAX
        while self.process.poll() is None and time.monotonic() < end:
            if ready(self.port):
                return True
            time.sleep(0.02)
        self._kill()
        return False

    def _kill(self):
        self.process.kill()
        self.process.wait()


def ready(port):
    try:
        return urllib.request.urlopen(f"http://{HOST}:{port}/ready", timeout=5).status == 200
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def free_port():
    """A port below the range from which the kernel takes the local ports of connections."""
    while True:
        port = random.SystemRandom().randrange(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
