"""Overload: 1,000 subscribers that read, and publishers that offer five times what can be fanned out, for 30 seconds.

No subscriber may be closed, none may lose an event or get one twice, and the server's memory must stay flat. Events are
2,000 bytes long: with shorter ones the server outruns the one process that reads for all subscribers, and then those
really are slow. CORECAST_BIN and CORECAST_LOADTEST name the binaries.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "sdk" / "python"))

from server import APP_ID, HOST, KEY, SECRET, Server  # noqa: E402

LOADTEST = os.environ.get("CORECAST_LOADTEST", str(Path(__file__).parents[3] / "target/release/corecast-loadtest"))
SECONDS = 30
# The first seconds bring up connections, buffers and the allocator's heaps.
WARM_UP_SECONDS = 8
GROWTH_BYTES_MAX = 16 << 20


def test_overload_costs_no_subscriber_anything_and_no_memory(tmp_path):
    server = Server()
    try:
        report, memory = overload(server, tmp_path / "report.json")
    finally:
        server.stop()
    assert report["parted"] == 0, report
    assert report["lost"] == 0 and report["duplicated"] == 0, report
    assert report["delivered"] > 1_000_000, report
    assert report["publishes"]["refused"] == 0, report
    assert report["publishes"]["withheld"] > report["publishes"]["accepted"], f"no overload: {report}"
    assert max(memory) - memory[0] <= GROWTH_BYTES_MAX, f"memory grows: {memory}"


def overload(server, report):
    """What the load generator says, and the server's resident memory at each second after the warm-up, in bytes."""
    command = [LOADTEST, "fanout", "--overload", "5", "--connections", "1000", "--size", "2000"]
    command += ["--duration", str(SECONDS), "--json", str(report), "--app", f"{APP_ID}:{KEY}:{SECRET}"]
    command += ["--ws", f"{HOST}:{server.port}", "--http", f"{HOST}:{server.port}"]
    generator = subprocess.Popen(apart(server.process.pid, command), stdin=subprocess.DEVNULL)
    memory = []
    started = time.monotonic()
    while generator.poll() is None:
        time.sleep(1)
        if WARM_UP_SECONDS < time.monotonic() - started < SECONDS:
            memory.append(resident_bytes(server.process.pid))
    assert generator.returncode == 0, f"the load generator failed: {generator.returncode}"
    return json.loads(report.read_text()), memory


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
