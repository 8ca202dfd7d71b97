"""Each scenario of the load generator once, small, against the real server: what was sent is what it says arrived.

These are checks of the generator's arithmetic and of the server's behaviour together; nothing here is a measurement.
CORECAST_BIN and CORECAST_LOADTEST name the binaries.
"""

import asyncio
import json
import os
import re
import resource
import ssl
import subprocess
import sys
import threading
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "sdk" / "python"))

from server import APP_ID, HOST, KEY, SECRET, Server, free_port  # noqa: E402

LOADTEST = os.environ.get("CORECAST_LOADTEST", str(Path(__file__).parents[3] / "target/release/corecast-loadtest"))


@pytest.fixture(scope="module", name="server")
def running_server():
    server = Server()
    yield server
    server.stop()


def run(server, tmp_path, scenario, *arguments, port=None):
    """The JSON of one run."""
    report = tmp_path / "report.json"
    address = f"{HOST}:{port or server.port}"
    command = [LOADTEST, scenario, "--ws", address, "--app", f"{APP_ID}:{KEY}:{SECRET}", "--json", str(report)]
    command += ["--pid", str(server.process.pid), *arguments]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"{scenario}: {done.stderr}{done.stdout}"
    return json.loads(report.read_text())


def assert_nothing_wrong(report):
    for nothing in ("lost", "duplicated", "reordered"):
        assert report[nothing] == 0, f"{nothing}: {report}"
    assert report.get("parted", 0) == 0, report
    assert report["latency_us"]["p50"] <= report["latency_us"]["p99"] <= report["latency_us"]["max"], report
    assert report["server"]["rss_bytes"] > 0, report
    assert report["generator"]["cpu_ratio"] > 0, report


def test_fanout_delivers_each_event_to_each_subscriber(server, tmp_path):
    report = run(server, tmp_path, "fanout", "--connections", "50", "--rate", "100", "--duration", "2")
    assert_nothing_wrong(report)
    assert report["delivered"] == 200 * 50
    assert report["publishes"]["keep_alive"] and report["publishes"]["pipelined"], report


@pytest.mark.parametrize("channel", ["private-lt", "presence-lt"])
def test_fanout_signs_for_its_channel(server, tmp_path, channel):
    arguments = ["--channel", channel, "--connections", "30", "--rate", "50", "--duration", "1"]
    report = run(server, tmp_path, "fanout", *arguments)
    assert_nothing_wrong(report)
    assert report["delivered"] == 50 * 30


def test_fanout_over_several_processes_and_addresses_adds_up(server, tmp_path):
    arguments = ["--connections", "60", "--processes", "3", "--source-addresses", "4", "--rate", "100"]
    report = run(server, tmp_path, "fanout", *arguments, "--duration", "2")
    assert_nothing_wrong(report)
    assert report["delivered"] == 200 * 60


def test_closed_loop_over_several_processes_does_not_stall(server, tmp_path):
    arguments = ["--connections", "40", "--processes", "2", "--saturate", "--duration", "2"]
    report = run(server, tmp_path, "fanout", *arguments)
    assert_nothing_wrong(report)
    assert report["delivered"] == report["publishes"]["accepted"] * 40
    assert report["publishes"]["accepted"] > 1000, report


@pytest.mark.parametrize("arguments", [("--rate", "200"), ("--rate", "200", "--random"), ("--saturate",)])
def test_channels_deliver_to_their_own_subscribers_alone(server, tmp_path, arguments):
    report = run(server, tmp_path, "channels", "--connections", "60", "--channels", "12", "--duration", "2", *arguments)
    assert_nothing_wrong(report)
    assert report["delivered"] == report["publishes"]["accepted"] * 5 > 0


def test_presence_tells_everybody_who_came_and_who_left(server, tmp_path):
    arguments = ["--connections", "100", "--channels", "5", "--rate", "100", "--duration", "2"]
    report = run(server, tmp_path, "presence", *arguments)
    assert_nothing_wrong(report)
    assert report["joins"] == report["leaves"] == report["waves"] * 20 > 0, report
    for nothing in ("stale", "strange", "rosters_wrong"):
        assert report[nothing] == 0, f"{nothing}: {report}"
    # In each channel 16 residents are told of every join and leave, and movers of those that overlap with them.
    assert report["member_added"] >= report["joins"] * 16, report
    assert report["member_removed"] >= report["leaves"] * 16, report


def test_client_events_reach_all_others_of_their_group(server, tmp_path):
    arguments = ["--connections", "40", "--group", "4", "--senders", "2", "--rate", "60", "--duration", "2"]
    report = run(server, tmp_path, "client-events", *arguments)
    assert_nothing_wrong(report)
    assert report["delivered"] == report["sent"] * 3 == 120 * 3, report
    assert report["echoed"] == report["refused"] == 0, report


def test_client_events_over_the_limit_are_refused_and_not_lost(server, tmp_path):
    report = run(server, tmp_path, "client-events", "--connections", "4", "--group", "2", "--rate", "100", "--duration", "2")
    assert report["refused"] > 0 and report["lost"] == 0, report
    assert report["delivered"] + report["refused"] == report["sent"], report


@pytest.mark.parametrize("arguments", [("--pipeline", "8"), ("--rate", "200"), ("--batch", "10")])
def test_publish_counts_answers(server, tmp_path, arguments):
    report = run(server, tmp_path, "publish", "--publishers", "4", "--duration", "1", *arguments)
    publishes = report["publishes"]
    assert publishes["sent"] == publishes["accepted"] >= 100, report
    assert report["delivered"] == 0 and report["server"]["cpu_ns_per_publish"] > 0, report
    assert report["latency_us"]["p50"] > 0, report


def test_connect_counts_all_that_came_in(server, tmp_path):
    report = run(server, tmp_path, "connect", "--connections", "200", "--channels", "10")
    assert (report["subscribed"], report["failed"]) == (200, 0), report
    assert report["connects_per_second"] > 0, report


@pytest.mark.parametrize("drops", ["reset", "fin"])
def test_storm_brings_everybody_back(server, tmp_path, drops):
    arguments = ["--storm", "--drops", drops, "--calm", "1", "--connections", "300", "--witness-rate", "200"]
    report = run(server, tmp_path, "connect", *arguments)
    assert_nothing_wrong(report)
    storm = report["storm"]
    assert (storm["dropped"], storm["back"], storm["failed"]) == (300, 300, 0), report
    assert report["delivered"] == report["publishes"]["accepted"] * 20 > 0, report
    assert report["live_before_us"]["p99"] > 0 and report["live_during_us"]["p99"] > 0, report


def test_memory_of_an_idle_connection_is_what_the_sizing_page_says(tmp_path):
    page = (Path(__file__).parents[3] / "docs" / "sizing.md").read_text()
    told = int(re.search(r"server memory per connection \(resident.*?\) \| (\d+) B", page)[1])
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Pages and what a shard has once weigh less in more connections; 4,000 are few enough for any machine.
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, hard), hard))
    server = Server()
    try:
        report = run(server, tmp_path, "idle", "--connections", "4000", "--duration", "2")
    finally:
        server.stop()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    measured = report["server"]["rss_bytes_per_connection"]
    assert told / 2 < measured < told * 2, f"docs/sizing.md says {told} B"


def test_idle_connections_get_an_answer_to_each_ping(server, tmp_path):
    report = run(server, tmp_path, "idle", "--connections", "100", "--ping-every", "1", "--duration", "2")
    assert_nothing_wrong(report)
    # A second to settle, and the last ones may still be on their way.
    assert 250 <= report["delivered"] <= 500, report
    assert "cpu_ratio" in report["server"], report


def test_slow_readers_are_closed_and_cost_the_others_nothing(server, tmp_path):
    arguments = ["--connections", "50", "--slow-percent", "10", "--size", "20000", "--rate", "100", "--duration", "4"]
    report = run(server, tmp_path, "slow", *arguments)
    assert_nothing_wrong(report)
    assert report["slow_closed"] == 5, report
    assert report["delivered"] == 400 * 45, report
    assert (report["without_slow"]["delivered"], report["without_slow"]["lost"]) == (400 * 50, 0), report


def test_soak_mixes_everything_and_loses_nothing(server, tmp_path):
    arguments = ["--connections", "150", "--duration", "5", "--reconnects", "10", "--presence-rate", "20"]
    report = run(server, tmp_path, "soak", *arguments)
    assert_nothing_wrong(report)
    soak = report["soak"]
    for nothing in ("subscribers_lost", "reconnected_lost", "presence_lost", "presence_stale", "client_events_lost"):
        assert soak[nothing] == 0, f"{nothing}: {report}"
    assert soak["reconnects"] >= 30 and soak["presence_changes"] > 0 and soak["client_events"] > 0, report
    assert report["server"]["rss_bytes"] > 0 and report["server"]["rss_bytes_per_hour"] is None, report


@pytest.mark.parametrize("scenario", ["fanout", "presence"])
def test_tls_carries_websocket_and_rest(server, tmp_path, scenario):
    with TlsProxy(server.port, tmp_path) as proxy:
        arguments = ["--tls", "--connections", "20", "--rate", "50", "--duration", "1", "--size", "3000"]
        if scenario == "presence":
            arguments += ["--channels", "2"]
        report = run(server, tmp_path, scenario, *arguments, port=proxy.port)
    assert_nothing_wrong(report)
    assert report["delivered"] > 0, report


class TlsProxy:
    """Takes TLS off in front of the server, with a certificate that nobody has signed."""

    def __init__(self, behind, folder):
        self.behind = behind
        self.port = free_port()
        self.certificate, key = folder / "certificate.pem", folder / "key.pem"
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "1"]
        command += ["-keyout", str(key), "-out", str(self.certificate)]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.certificate, key)
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)

    def __enter__(self):
        self.thread.start()
        start = asyncio.start_server(self._serve, HOST, self.port, ssl=self.context)
        self.listener = asyncio.run_coroutine_threadsafe(start, self.loop).result(10)
        return self

    def __exit__(self, *_):
        asyncio.run_coroutine_threadsafe(self._close(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()

    async def _close(self):
        self.listener.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader, writer):
        behind_reader, behind_writer = await asyncio.open_connection(HOST, self.behind)
        await asyncio.gather(pour(reader, behind_writer), pour(behind_reader, writer))


async def pour(reader, writer):
    """All that one side says to the other, then its end."""
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()
