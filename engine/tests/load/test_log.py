"""The log is a pipe whose reader has stopped, and every publish is a line in it: subscribers may not notice.

What the reader finds when it goes on is whole: each line is JSON, and some say how many are missing. How the latencies
compare with those beside a reader is measured by hand (docs/trials.md): a machine that runs tests tells nothing of it.
"""

import json
import signal
import subprocess
import time

import pytest
from measured import HOST, PATIENCE_S, Measured, generate

pytestmark = pytest.mark.alone

# 10,000 deliveries a second; all lines together are twice what the queue of the log holds.
CONNECTIONS, RATE, SECONDS = 5, 2_000, 8


class Logged(Measured):
    """A server whose log goes through a process that has stopped into a file."""

    def __init__(self, kept):
        self.kept = kept
        super().__init__(arguments=["--log-format", "json", "--log-level", "debug"])

    def _spawn(self, port):
        self.port = port
        self.reader = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=self.kept.open("w"))
        self.reader.send_signal(signal.SIGSTOP)
        command = [self.binary, "serve", "--listen", f"{HOST}:{port}", *self.app, "--shards", str(self.shards)]
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *command, *self.arguments],
            stdin=subprocess.DEVNULL,
            stderr=self.reader.stdin,
        )
        self.reader.stdin.close()

    def output(self):
        return self.kept.read_text()

    def lines(self):
        return [json.loads(line) for line in self.output().splitlines(True) if line.endswith("\n")]

    def dropped(self):
        return self.total("corecast_log_lines_dropped_total")

    def told(self):
        """How many lines are missing by the words of the log."""
        return sum(line["count"] for line in self.lines() if line["event"] == "lines_dropped")


def test_a_log_that_nobody_reads_costs_its_lines_and_no_delivery(tmp_path):
    report = tmp_path / "report.json"
    server = Logged(tmp_path / "log.json")
    try:
        asked = ["--connections", str(CONNECTIONS), "--rate", str(RATE), "--duration", str(SECONDS)]
        command = [*generate(server, "fanout", *asked), "--json", str(report)]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        dropped = server.dropped()
        assert dropped > 1_000, f"the log was read: {dropped}"
        server.reader.send_signal(signal.SIGCONT)
        end = time.monotonic() + PATIENCE_S
        while server.told() < dropped:
            assert time.monotonic() < end, f"{dropped} lines are missing, and the log tells of {server.told()}"
            time.sleep(0.1)
        assert server.told() == server.dropped()
    finally:
        server.reader.send_signal(signal.SIGCONT)
        server.stop()
    assert server.reader.wait(PATIENCE_S) == 0
    assert server.lines()[-1]["event"] == "stopped"
    figures = json.loads(report.read_text())
    assert (figures["lost"], figures["duplicated"], figures["parted"]) == (0, 0, 0), figures
    assert figures["delivered"] == figures["publishes"]["accepted"] * CONNECTIONS, figures
    assert figures["publishes"]["refused"] == 0, figures
