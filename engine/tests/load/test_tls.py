"""Connections with TLS cost what the documentation says, stay as they are while they are used, and leave nothing.

The server counts its allocations. `./test.sh --long` has 5,000 connections for a minute.
"""

import json
import subprocess
import time
from types import SimpleNamespace

import pytest
from measured import COUNTING, HOST, IS_LONG, Measured, free_port, generate

CONNECTIONS, SECONDS = (5_000, 60) if IS_LONG else (500, 2)
# docs/tls.md.
BYTES_MAX = 8 << 10
QUEUES_BYTES_MAX = 4096


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder, port = tmp_path_factory.mktemp("tls"), free_port()
    cert, key = folder / "cert.pem", folder / "key.pem"
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "9"]
    subprocess.run([*made, "-subj", "/CN=tests", "-keyout", key, "-out", cert], check=True, capture_output=True)
    arguments = ["--tls-listen", f"{HOST}:{port}", "--tls-cert", str(cert), "--tls-key", str(key)]
    running = Measured(COUNTING, arguments)
    running.secure = SimpleNamespace(port=port, process=running.process)
    yield running
    running.stop()


def begin(server, report, scenario, *asked):
    command = generate(server.secure, scenario, "--tls", "--json", str(report), *asked)
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def end(running, report):
    assert running.wait(timeout=60 + 2 * SECONDS) == 0
    return json.loads(report.read_text())


def live_bytes(server):
    return server.total("corecast_allocated_bytes")


def test_an_idle_connection_with_tls_keeps_no_more_than_it_may(server, tmp_path):
    before, report = live_bytes(server), tmp_path / "report.json"
    everybody = ["--connections", str(CONNECTIONS), "--ping-every", "120", "--duration", "3"]
    running = begin(server, report, "idle", *everybody)
    while server.total("corecast_connections") < CONNECTIONS:
        assert running.poll() is None, "the load generator has ended"
        time.sleep(0.1)
    time.sleep(0.5)
    each = (live_bytes(server) - before) / CONNECTIONS
    end(running, report)
    print(f"\n{each:.0f} bytes for each of {CONNECTIONS} idle connections")
    assert each <= BYTES_MAX
    server.wait_until_empty()


def test_memory_is_flat_while_connections_are_used_and_nothing_is_left_when_they_have_gone(server, tmp_path):
    report, rounds = tmp_path / "report.json", []
    # The first round makes the room that queues and tables need.
    for _ in range(2):
        running = begin(server, report, "fanout", "--connections", str(CONNECTIONS), "--rate", "5", "--duration", str(SECONDS))
        while server.total("corecast_connections") < CONNECTIONS:
            assert running.poll() is None, "the load generator has ended"
            time.sleep(0.1)
        seen = []
        while running.poll() is None:
            seen.append(live_bytes(server))
            time.sleep(SECONDS / 40)
        told = end(running, report)
        assert told["lost"] == 0 and told["delivered"] == CONNECTIONS * told["publishes"]["sent"], told
        after = server.wait_until_empty()["corecast_allocated_bytes"]
        rounds.append((seen, after))
    (_, settled), (seen, last) = rounds
    third = len(seen) // 3
    early, late = min(seen[:third]), min(seen[third : 2 * third])
    print(f"\nlive bytes early {early:.0f}, later {late:.0f}; {settled:.0f} and {last:.0f} when all have gone")
    # How much waits for them differs from one look to the next.
    assert late - early <= 256 * CONNECTIONS, "it grows while nobody comes"
    assert last - settled <= QUEUES_BYTES_MAX + CONNECTIONS, f"{last - settled:.0f} bytes stay"
