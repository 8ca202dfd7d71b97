"""A hostile client for each limit, while others publish and subscribe: it may hurt nobody but itself.

Meanwhile every event arrives once at everybody, and nobody is closed; afterwards descriptors, connections and live bytes
are as before. `./test.sh --long` measures as well, in five interleaved pairs of attacked and left alone: the 99th
percentile of REST calls may be 50 ms, that of deliveries 1.5 times as long as without the attack (median of the pairs).
"""

import contextlib
import http.client
import json
import signal
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from hostile import ATTACKS
from measured import COUNTING, IS_LONG, Measured, apart, generate, signed
from server import APP_ID, HOST, KEY

pytestmark = pytest.mark.alone

PAIRS = 5
SECONDS = 5 if IS_LONG else 1
SUBSCRIBERS, RATE = 200, 100
REST_MS_MAX, SLOWER_MAX = 50, 1.5
# What tables and lists may keep beyond what they had, once: their room grows with the most that they have held.
ROOM_BYTES_MAX = 4 << 20


@pytest.fixture(scope="module")
def server():
    running = Measured(COUNTING)
    yield running
    running.stop()


@pytest.mark.parametrize("attack", [attack.__name__ for attack in ATTACKS])
def test_a_hostile_client_hurts_nobody_else(server, attack, tmp_path):
    # The first time brings tables and lists to their size.
    with attacked(server, attack):
        run(server, tmp_path)
    before = server.wait_until_empty()
    with attacked(server, attack):
        under = run(server, tmp_path)
    after = server.wait_until_empty()
    assert after["process_open_fds"] == before["process_open_fds"], "descriptors stay open"
    grown = after["corecast_allocated_bytes"] - before["corecast_allocated_bytes"]
    assert grown <= ROOM_BYTES_MAX, f"{grown} bytes more than before"
    print(f"\n{attack}: p99 {under['p99_ms']:.1f} ms; REST p99 {under['rest_p99_ms']:.1f} ms; {grown:+.0f} bytes")
    if IS_LONG:
        compare(server, attack, tmp_path)


def compare(server, attack, folder):
    """Interleaved pairs of left alone and attacked."""
    pairs = []
    for _ in range(PAIRS):
        alone = run(server, folder)
        with attacked(server, attack):
            pairs.append((alone, run(server, folder)))
    told = [f"{alone['p99_ms']:.1f} -> {under['p99_ms']:.1f}" for alone, under in pairs]
    rest = [under["rest_p99_ms"] for _, under in pairs]
    print(f"{attack}, pairs: p99 {', '.join(told)} ms; REST p99 {max(rest):.1f} ms")
    slower = statistics.median(under["p99_ms"] / alone["p99_ms"] for alone, under in pairs)
    assert slower <= SLOWER_MAX, f"deliveries take {slower:.2f} times as long: {told}"
    assert statistics.median(rest) <= REST_MS_MAX, f"REST calls take {rest} ms"


@contextlib.contextmanager
def attacked(server, attack):
    """The attack goes on within, and has begun before."""
    script = str(Path(__file__).with_name("hostile.py"))
    command = apart(server.process.pid, [sys.executable, script, attack, str(server.port), KEY])
    attacker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert attacker.stdout.readline() == "under way\n", f"{attack} did not begin"
        drained = threading.Thread(target=attacker.stdout.read, daemon=True)
        drained.start()
        yield
        assert attacker.poll() is None, f"{attack} has given up: {attacker.returncode}"
    finally:
        attacker.send_signal(signal.SIGKILL)
        attacker.wait()


def run(server, folder):
    """What subscribers and a caller of the REST API see for some seconds."""
    report = folder / "report.json"
    asked = ["--connections", str(SUBSCRIBERS), "--rate", str(RATE), "--duration", str(SECONDS)]
    asked += ["--size", "2000"]
    command = apart(server.process.pid, generate(server, "fanout", *asked, "--json", str(report)))
    calls = []
    done = threading.Event()
    caller = threading.Thread(target=call, args=(server, calls, done))
    caller.start()
    try:
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    finally:
        done.set()
        caller.join()
    told = json.loads(report.read_text())
    assert told["lost"] == told["duplicated"] == told["parted"] == 0, told
    assert told["delivered"] == SUBSCRIBERS * told["publishes"]["sent"], told
    assert told["publishes"]["refused"] == 0 and told["publishes"]["unanswered"] == 0, told
    rest_p99 = statistics.quantiles(calls, n=100)[98]
    return {"p99_ms": told["latency_us"]["p99"] / 1_000, "rest_p99_ms": rest_p99}


def call(server, calls, done):
    """Asks for a channel fifty times a second, each time on a connection of its own, as many back ends do."""
    while not done.wait(0.02):
        started = time.perf_counter()
        connection = http.client.HTTPConnection(HOST, server.port, timeout=10)
        connection.request("GET", signed("GET", f"/apps/{APP_ID}/channels/loadtest"))
        answer = connection.getresponse()
        assert answer.status == 200 and json.loads(answer.read())["occupied"] in (True, False)
        connection.close()
        calls.append((time.perf_counter() - started) * 1_000)
