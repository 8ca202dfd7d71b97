"""A server whose insides can be read, and the load generator beside it.

CORECAST_BIN, CORECAST_COUNTING_BIN and CORECAST_LOADTEST name the binaries; the second is built with the feature
`counting`, so that its metrics tell what is allocated.
"""

import hashlib
import hmac
import json
import os
import sys
import time
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "sdk" / "python"))

from server import APP_ID, BINARY, HOST, KEY, SECRET, SHARDS, THE_APP, Server, free_port  # noqa: E402

TARGET = Path(__file__).parents[3] / "target"
COUNTING = os.environ.get("CORECAST_COUNTING_BIN", str(TARGET / "counting/corecast"))
LOADTEST = os.environ.get("CORECAST_LOADTEST", str(TARGET / "release/corecast-loadtest"))
IS_LONG = os.environ.get("CORECAST_LONG") == "1"
PATIENCE_S = 60


class Measured(Server):
    """A server with a port for tools."""

    def __init__(self, binary=BINARY, arguments=(), shards=SHARDS, app=THE_APP):
        self.admin = free_port()
        super().__init__(binary, ["--admin", f"{HOST}:{self.admin}", *arguments], shards, app)

    def metrics(self):
        """Every sample by its name and labels."""
        with urllib.request.urlopen(f"http://{HOST}:{self.admin}/metrics", timeout=30) as answer:
            lines = answer.read().decode().splitlines()
        samples = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return {name: float(value) for name, value in samples}

    def ask(self, path):
        """What a signed call is answered with, on a connection of its own."""
        url = f"http://{HOST}:{self.port}{signed('GET', path)}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            return json.load(answer)

    def total(self, family):
        """The sum of a family's samples."""
        samples = [value for name, value in self.metrics().items() if name.split("{")[0] == family]
        assert samples, f"{family} is not there"
        return sum(samples)

    def wait_until_empty(self):
        """Waits until nobody is connected and nothing is left of the clients that were. Returns the metrics then."""
        end = time.monotonic() + PATIENCE_S
        gauges = ["corecast_connections", "corecast_half_open", "corecast_channels"]
        while any(self.total(gauge) for gauge in gauges):
            assert time.monotonic() < end, f"somebody stays: {self.metrics()}"
            time.sleep(0.1)
        # Descriptors linger until the peer has closed too; the one of this scrape is always there.
        time.sleep(0.5)
        return self.metrics()


def generate(server, scenario, *arguments):
    """The command of the load generator."""
    address = f"{HOST}:{server.port}"
    target = ["--ws", address, "--http", address, "--app", f"{APP_ID}:{KEY}:{SECRET}"]
    return [LOADTEST, scenario, *target, *arguments]


def signed(method, path):
    """The path with its signed query, as server SDKs make it."""
    query = f"auth_key={KEY}&auth_timestamp={int(time.time())}&auth_version=1.0"
    signature = hmac.new(SECRET.encode(), f"{method}\n{path}\n{query}".encode(), hashlib.sha256).hexdigest()
    return f"{path}?{query}&auth_signature={signature}"


def apart(pid, command):
    """The generator must not take processors from the server, nor the server from it."""
    processors = sorted(os.sched_getaffinity(0))
    if len(processors) < 2:
        return command
    for task in os.listdir(f"/proc/{pid}/task"):
        os.sched_setaffinity(int(task), processors[:1])
    return ["setpriv", "--pdeathsig", "KILL", "taskset", "-c", ",".join(map(str, processors[1:])), *command]


def resident_bytes(pid):
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
