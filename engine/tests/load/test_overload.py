"""Overload: 1,000 subscribers that read, and publishers that offer five times what can be fanned out.

No subscriber may be closed, none may lose an event or get one twice, and the server's memory must stay flat. Events are
2,000 bytes long: with shorter ones the server outruns the one process that reads for all subscribers, and then those
really are slow. It lasts 15 seconds; 60 by `./test.sh --long`.
"""

import json
import subprocess
import time

import pytest
from measured import IS_LONG, Measured, apart, generate, resident_bytes

pytestmark = pytest.mark.alone

SECONDS = 60 if IS_LONG else 15
# The first seconds bring up connections, buffers and the allocator's heaps.
WARM_UP_SECONDS = 8
GROWTH_BYTES_MAX = 16 << 20


def test_overload_costs_no_subscriber_anything_and_no_memory(tmp_path):
    server = Measured()
    try:
        report, memory = overload(server, tmp_path / "report.json")
    finally:
        server.stop()
    assert report["parted"] == 0, report
    assert report["lost"] == 0 and report["duplicated"] == 0, report
    assert report["delivered"] > 30_000 * SECONDS, report
    assert report["publishes"]["refused"] == 0, report
    assert report["publishes"]["withheld"] > report["publishes"]["accepted"], f"no overload: {report}"
    assert max(memory) - memory[0] <= GROWTH_BYTES_MAX, f"memory grows: {memory}"


def overload(server, report):
    """What the load generator says, and the server's resident memory at each second after the warm-up, in bytes."""
    asked = ["--overload", "5", "--connections", "1000", "--size", "2000", "--duration", str(SECONDS)]
    command = apart(server.process.pid, generate(server, "fanout", *asked, "--json", str(report)))
    generator = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    memory = []
    started = time.monotonic()
    while generator.poll() is None:
        time.sleep(1)
        if WARM_UP_SECONDS < time.monotonic() - started < SECONDS:
            memory.append(resident_bytes(server.process.pid))
    assert generator.returncode == 0, f"the load generator failed: {generator.returncode}"
    return json.loads(report.read_text()), memory
