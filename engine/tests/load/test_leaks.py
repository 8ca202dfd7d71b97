"""Nothing is left of connections that have gone: thousands open, subscribe and leave, over and over.

The server counts its allocations. After the second cycle tables and lists have the room that they need; from then on
descriptors and live bytes must come back to the same figures. Short queues of the API core, which is in use while it is
asked, are excepted: less than a fifth of a byte for each connection that came. `./test.sh --long` does it with 19,000,
ten times.
"""

import json
import subprocess

import pytest
from measured import COUNTING, IS_LONG, Measured, generate
from server import APP_ID

pytestmark = pytest.mark.alone

CONNECTIONS = 19_000 if IS_LONG else 3_000
CYCLES = 10 if IS_LONG else 6
QUEUES_BYTES_MAX = 4096


def test_what_is_gone_leaves_no_byte_and_no_descriptor(tmp_path):
    server = Measured(COUNTING)
    try:
        seen = [cycle(server, tmp_path / "report.json") for _ in range(CYCLES)]
    finally:
        server.stop()
    print("\nlive bytes:", [int(one["corecast_allocated_bytes"]) for one in seen])
    settled, last = seen[1], seen[-1]
    assert last["process_open_fds"] == settled["process_open_fds"], [one["process_open_fds"] for one in seen]
    grown = last["corecast_allocated_bytes"] - settled["corecast_allocated_bytes"]
    assert abs(grown) <= QUEUES_BYTES_MAX, f"{grown} bytes stay of {(CYCLES - 2) * 2 * CONNECTIONS} connections"


def cycle(server, report):
    """All on fifty channels, then all on one, where everybody hears something."""
    everybody = ["--connections", str(CONNECTIONS), "--json", str(report)]
    told = run(server, report, "connect", *everybody, "--channels", "50")
    assert told["subscribed"] == CONNECTIONS, told
    server.wait_until_empty()
    told = run(server, report, "fanout", *everybody, "--rate", "3", "--duration", "1")
    assert told["delivered"] == CONNECTIONS * told["publishes"]["sent"] and told["lost"] == 0, told
    after = server.wait_until_empty()
    assert server.ask(f"/apps/{APP_ID}/channels") == {"channels": {}}
    return after


def run(server, report, scenario, *asked):
    command = generate(server, scenario, *asked)
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    return json.loads(report.read_text())
