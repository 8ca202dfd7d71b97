"""A server with hooks, as an operator runs it: by a configuration file, with its commands, ended in every way there is."""

import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

from measured import APP_ID, BINARY, HOST, KEY, PATIENCE_S, SECRET, Measured
from server import START_S_MAX, ready

# SIGTERM must have done with everything by then.
END_S_MAX = 10
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


class Operated(Measured):
    """A server whose hooks go to these endpoints; each is a table of its keys. It keeps its port and its data when it is
    started again."""

    def __init__(self, directory, endpoints, hooks=None, environment=None, **how):
        self.directory, self.endpoints = Path(directory), endpoints
        self.hooks = {"data_dir": str(self.directory / "data"), **(hooks or {})}
        self.environment = {**os.environ, **(environment or {})}
        self.config = self.directory / "corecast.toml"
        # Its clients, once there are some.
        self.crowd = None
        super().__init__(**how)

    def _spawn(self, port):
        self.port = port
        self.config.write_text(self.text())
        self.log = tempfile.TemporaryFile("w+")
        # With a parent-death signal no server outlives a test run that is killed.
        command = ["setpriv", "--pdeathsig", "KILL", self.binary, "serve", "--config", str(self.config)]
        self.process = subprocess.Popen(
            [*command, *self.arguments],
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            env=self.environment,
        )

    def text(self):
        """The configuration file."""
        tables = [
            ("", {"listen": f"{HOST}:{self.port}", "admin": f"{HOST}:{self.admin}", "shards": self.shards}),
            ("[limits]", {"client_events_per_second": 1000}),
            ("[hooks]", self.hooks),
            ("[[apps]]", {"id": APP_ID, "key": KEY, "secret": SECRET, "client_events": True}),
            *(("[[apps.hooks]]", endpoint) for endpoint in self.endpoints),
        ]
        return "\n".join(f"{name}\n{keys(table)}" for name, table in tables)

    def kill(self):
        """kill -9. Returns the moment before it."""
        moment = time.monotonic()
        self.process.kill()
        self.process.wait()
        return moment

    def start(self):
        """Starts it again, where it was."""
        self._spawn(self.port)
        end = time.monotonic() + START_S_MAX
        while not ready(self.port):
            assert self.process.poll() is None and time.monotonic() < end, f"it does not start:\n{self.output()}"
            time.sleep(0.02)

    def end(self, seconds_max=END_S_MAX):
        """SIGTERM: it must end by itself, in time. Its clients answer meanwhile, as clients do."""
        self.process.terminate()
        has_ended = lambda: self.process.poll() is not None
        if self.crowd:
            self.crowd.run_until(has_ended, seconds_max, "the end of the server")
        else:
            wait_until(has_ended, "the end of the server", seconds_max)
        assert self.process.returncode == 0, self.output()

    def close(self):
        """For the end of a test, however it went."""
        if self.process.poll() is None:
            self._kill()

    def command(self, *words, seconds_max=60):
        """Runs `corecast hooks …` for this server. Returns what it printed."""
        asked = [self.binary, "hooks", *words, "--config", str(self.config)]
        done = subprocess.run(asked, capture_output=True, text=True, timeout=seconds_max, env=self.environment)
        assert done.returncode == 0, f"{asked}: {done.stdout}{done.stderr}"
        return done.stdout

    def processor_s(self):
        """What it has used of processors since its start, in seconds."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


def keys(table):
    """Lines of TOML. Its texts, numbers, truths and lists are written as JSON writes them."""
    lines = []
    for key, value in table.items():
        if isinstance(value, dict):
            inner = ", ".join(f"{json.dumps(name)} = {json.dumps(it)}" for name, it in value.items())
            lines.append(f"{key} = {{ {inner} }}\n")
        else:
            lines.append(f"{key} = {json.dumps(value)}\n")
    return "".join(lines)


def wait_until(holds, what, patience_s=PATIENCE_S):
    end = time.monotonic() + patience_s
    while not holds():
        assert time.monotonic() < end, f"waited in vain for {what() if callable(what) else what}"
        time.sleep(0.05)
