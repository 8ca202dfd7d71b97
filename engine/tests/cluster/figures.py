"""What a cluster costs and how soon it heals: writes the section «A cluster» of PERFORMANCE.md.

Needs the release build, redis-server, the packages that ./test.sh installs, a machine where nothing else runs, and a release build
of commit a567866, from before there were clusters: `target/sdk/venv/bin/python engine/tests/cluster/figures.py BUILD`. Takes
about eight minutes.
"""

import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from functools import partial
from pathlib import Path

for folder in ("sdk/python", "load", "hooks"):
    sys.path.insert(0, str(Path(__file__).parents[1] / folder))

from measured import APP_ID, HOST, KEY, LOADTEST, SECRET, Measured, apart  # noqa: E402
from nodes import LEASE_S, Node, wait_until  # noqa: E402
from streams import Redis, answer, command  # noqa: E402

ROOT = Path(__file__).resolve().parents[3]
HEADING, NEXT = "## A cluster", "## What was run"
TICKS = os.sysconf("SC_CLK_TCK")
MEMBERS, ROOMS = 10_000, 100
ROUNDS, PAIRS = 5, 6
COMMIT_BEFORE = "a567866"


class Bench:
    """Things that run for one measurement, and end with it."""

    def __enter__(self):
        self.folder, self.things = tempfile.TemporaryDirectory(), []
        return self

    def __exit__(self, *_):
        for thing in reversed(self.things):
            thing.close()
        self.folder.cleanup()

    def redis(self):
        self.things.append(Redis(Path(self.folder.name) / f"redis{len(self.things)}"))
        return self.things[-1]

    def nodes(self, count, *servers, arguments=()):
        more = [word for server in servers[1:] for word in ("--cluster", server.url)]
        made = [Node(servers[0], 1, [*more, *arguments]) for _ in range(count)]
        self.things += made
        for node in made:
            wait_until(lambda node=node: node.state() == 2 * len(servers), "a session")
        return made

    def drains(self, node, channels, count):
        """Subscribers in a process of its own that throw away what they get."""
        words = [sys.executable, __file__, "drain", str(node.port), str(count), *channels]
        self.things.append(Drain(words))


class Drain:
    def __init__(self, words):
        self.process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *words], stdout=subprocess.PIPE)
        assert self.process.stdout.readline() == b"subscribed\n"

    def close(self):
        assert self.process.poll() is None, "subscribers were lost"
        self.process.kill()
        self.process.wait()


def drain(port, count, *channels):
    """Its handshakes are by hand, since a WebSocket library would spend more than a node does."""
    import selectors

    ready = selectors.DefaultSelector()
    for _ in range(int(count)):
        peer = socket.create_connection((HOST, int(port)))
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        peer.sendall(
            f"GET /app/{KEY}?protocol=7 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        )
        for channel in channels:
            data = json.dumps({"event": "pusher:subscribe", "data": {"channel": channel}}).encode()
            peer.sendall(bytes([0x81, 0x80 | len(data), 0, 0, 0, 0]) + data)
        told = b""
        while told.count(b"subscription_succeeded") < len(channels):
            told += peer.recv(1 << 16)
        ready.register(peer, selectors.EVENT_READ)
    print("subscribed", flush=True)
    while True:
        # What comes in the meantime is read at once: the processors belong to the nodes.
        time.sleep(0.005)
        for key, _ in ready.select():
            if not key.fileobj.recv(1 << 20):
                sys.exit("closed by its node")


def processor_s(pid):
    """Of a process with all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def generate(scenario, ws, http, *arguments):
    with tempfile.NamedTemporaryFile("r") as file:
        target = ["--ws", f"{HOST}:{ws.port}", "--http", f"{HOST}:{http.port}", "--app", f"{APP_ID}:{KEY}:{SECRET}"]
        words = [LOADTEST, scenario, *target, *map(str, arguments), "--json", file.name]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        found = json.load(file)
    assert not found.get("lost") and not found.get("failed"), found
    return found


def round_trip_us(redis, count=2_000):
    with socket.create_connection((HOST, redis.port)) as peer, peer.makefile("rb") as answers:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        took = []
        for _ in range(count):
            begun = time.perf_counter()
            peer.sendall(command("PING"))
            answer(answers)
            took.append((time.perf_counter() - begun) * 1e6)
            time.sleep(0.001)
    return statistics.median(took)


def latency():
    """publish → delivery on another node, 10 subscribers × 100 msg/s, p50"""
    load = ["--connections", 10, "--rate", 100, "--duration", 5]
    with Bench() as bench:
        redis = bench.redis()
        alone = Measured(shards=1)
        bench.things.append(Ends(alone))
        here, there, _ = bench.nodes(3, redis)
        rounds = []
        for _ in range(ROUNDS):
            p50 = [generate("fanout", ws, http, *load)["latency_us"]["p50"] for ws, http in ((alone, alone), (here, here), (here, there))]
            rounds.append((*p50, round_trip_us(redis)))
    one, same, other, trip = (statistics.median(column) for column in zip(*rounds))
    most = 2 * one + trip
    figures = f"one server without a cluster {one:.0f} µs; the publisher's own node {same:.0f} µs; a PING to Redis and back {trip:.0f} µs"
    yield "≤ 2 × one server + one round trip to Redis", f"{other:.0f} µs, of {most:.0f} µs allowed", figures, other <= most


class Ends:
    def __init__(self, server):
        self.server = server

    def close(self):
        self.server.stop()


def through_redis(servers, subscribers, load):
    """Events a second, what each costs Redis and the nodes in µs of CPU, and how busy they are."""
    channels = [f"loadtest-{number}" for number in range(8)]
    with Bench() as bench:
        redises = [bench.redis() for _ in range(servers)]
        nodes = bench.nodes(3, *redises)
        for node in nodes[1:]:
            bench.drains(node, channels, subscribers)
        if subscribers > 1:
            bench.drains(nodes[0], channels, subscribers - 1)
        pids = [node.process.pid for node in nodes] + [redis.process.pid for redis in redises]
        begun, at = [processor_s(pid) for pid in pids], time.monotonic()
        load = ["--channels", len(channels), "--connections", len(channels), "--duration", 10, *load]
        found = generate("channels", nodes[0], nodes[1], *load)
        spent, seconds = [processor_s(pid) - before for pid, before in zip(pids, begun)], time.monotonic() - at
    # One of the generator's connections is on each channel.
    each = [s * 1e6 / found["delivered"] for s in spent]
    busy = f"busy: Redis {sum(spent[3:]) / seconds:.0%} of a core, nodes {sum(spent[:3]) / seconds:.0%}"
    cost = f"CPU per event: Redis {sum(each[3:]):.2f} µs, the publisher's node {each[1]:.2f} µs, the others {each[0]:.2f} and {each[2]:.2f} µs"
    return found["deliveries_per_second"], sum(each[3:]), f"{cost}; {busy}"


def closed_loop(servers):
    rate, of_redis, figures = through_redis(servers, 1, ["--saturate", "--window", 4000])
    goal, alone = 100_000 * servers, f"{1e6 / of_redis * servers:,.0f}/s if each Redis had a core"
    yield f"goal: ≥ {goal:,}/s", f"{rate:,.0f}/s; {alone}", figures, rate >= goal


def one_redis():
    """events/s through one Redis, 3 nodes with a subscriber of each channel, closed loop"""
    yield from closed_loop(1)


def two_redises():
    """the same through two Redis servers"""
    yield from closed_loop(2)


def paced():
    """the same through one, 10 subscribers of each channel on each node, 10,000 events/s, each in a call of its own"""
    rate, _, figures = through_redis(1, 10, ["--rate", 10_000])
    yield "–", f"{rate:,.0f}/s", figures, None


def without_a_cluster(build):
    for what, unit, *load in (
        ("paced fan-out, 1,000 subscribers × 100 msg/s", "delivery", "fanout", "--connections", 1_000, "--rate", 100),
        ("saturated fan-out, 1,000 subscribers", "delivery", "fanout", "--connections", 1_000, "--saturate"),
        ("signed REST publish to an empty channel, keep-alive, 16 connections", "publish", "publish", "--publishers", 16, "--pipeline", 1),
    ):
        with Bench() as bench, tempfile.NamedTemporaryFile("r") as file:
            servers = {"before": Measured(build, shards=1), "now": Measured(shards=1)}
            bench.things += map(Ends, servers.values())
            targets = []
            for name, server in servers.items():
                address = f"{HOST}:{server.port}"
                about = f"ws={address},http={address},app={APP_ID}:{KEY}:{SECRET},pid={server.process.pid}"
                targets += ["--target", f"{name}={about}"]
            words = [LOADTEST, "compare", "--rounds", PAIRS, "--json", file.name, *targets, *load, "--duration", 6]
            # Both servers on one processor, the generator on another.
            for server in servers.values():
                generator = apart(server.process.pid, [str(word) for word in words])
            subprocess.run(generator, check=True, stdout=subprocess.DEVNULL)
            found = json.load(file)
        figure = f"server.cpu_ns_per_{unit}"
        ratio, now, then = found["ratios"]["now"][figure], *(found["medians"][name][figure] / 1e3 for name in ("now", "before"))
        measured = f"{ratio['median']:.2f} × ({ratio['least']:.2f}–{ratio['most']:.2f})"
        figures = f"{now:.3f} µs per {unit}; commit {COMMIT_BEFORE} {then:.3f} µs"
        yield f"one server without a cluster: {what}, CPU", "≤ 1.03 × before there were clusters", measured, figures, ratio["median"] <= 1.03


def joins():
    """10,000 members join 100 presence channels on one node: until another node's REST answers have all of them"""
    with Bench() as bench:
        redis = bench.redis()
        here, there = bench.nodes(2, redis)
        pids = [here.process.pid, there.process.pid, redis.process.pid]
        begun = [processor_s(pid) for pid in pids]
        load = ["--channels", ROOMS, "--connections", MEMBERS, "--movers-percent", 0, "--rate", 1, "--duration", 30]
        generator = threading.Thread(target=lambda: subprocess.run(
            [LOADTEST, "presence", "--ws", f"{HOST}:{here.port}", "--app", f"{APP_ID}:{KEY}:{SECRET}", *map(str, load)],
            stdout=subprocess.DEVNULL, check=False))

        def members(node):
            _, told, _ = node.call("GET", "/channels", {"filter_by_prefix": "presence-", "info": "user_count"})
            return sum(room["user_count"] for room in told["channels"].values())

        at = time.monotonic()
        generator.start()
        wait_until(lambda: members(here) >= MEMBERS, "all members", 60)
        here_s = time.monotonic() - at
        wait_until(lambda: members(there) >= MEMBERS, "all members on the other node", 60)
        there_s = time.monotonic() - at
        each = [(processor_s(pid) - before) * 1e6 / MEMBERS for pid, before in zip(pids, begun)]
        generator.join()
    figures = f"CPU per join: the members' node {each[0]:.0f} µs, the other {each[1]:.0f} µs, Redis {each[2]:.0f} µs; read by polling, so up to 0.1 s late"
    yield "beside the members' own node", f"{there_s:.1f} s", f"their own node {here_s:.1f} s; {figures}", None


def recovery():
    """recovery"""
    for what, fault, over in (
        ("Redis killed, and started again after 2 s with its data", lambda redis, _: restarted(redis, False), "its start"),
        ("Redis killed, and started again after 2 s with nothing", lambda redis, _: restarted(redis, True), "its start"),
        ("Redis emptied by FLUSHALL", lambda redis, _: redis.ask("FLUSHALL"), "that"),
        ("Redis hung for 5 s", lambda redis, _: hung(redis, 5), "its going on"),
        (f"a node paused for {LEASE_S + 2} s, beyond its lease", lambda _, node: hung(node, LEASE_S + 2), "its going on"),
    ):
        took = sorted(recovers(fault) for _ in range(3))
        yield f"{what}: until events published on a node reach another", "–", f"{took[1]:.2f} s after {over} ({took[0]:.2f} to {took[-1]:.2f})", f"lease {LEASE_S} s", None
    took = sorted(gone() for _ in range(3))
    most = LEASE_S + 1
    yield "a node killed: until its members are gone on another", f"≤ lease + one sweep ({most} s)", f"{took[1]:.2f} s ({took[0]:.2f} to {took[-1]:.2f})", f"lease {LEASE_S} s", took[-1] <= most


def restarted(redis, forgets):
    redis.kill()
    if forgets:
        redis.forget_everything()
    time.sleep(2)
    redis.start()


def hung(thing, seconds):
    thing.pause()
    time.sleep(seconds)
    thing.go_on()


def recovers(fault):
    """Seconds from the end of the fault until what is published every 10 ms arrives on another node."""
    with Bench() as bench:
        redis = bench.redis()
        here, there = bench.nodes(2, redis)
        client = here.connect()
        client.subscribe("healing")
        there.sdk.trigger("healing", "before", {})
        client.wait_for("before", "healing")
        fault(redis, there)
        over, number = time.monotonic(), 0
        while not any(frame["event"].startswith("after") for frame in client.frames):
            assert time.monotonic() - over < 30, "it does not heal"
            number += 1
            there.sdk.trigger("healing", f"after-{number}", {})
            time.sleep(0.01)
        return time.monotonic() - over


def gone():
    with Bench() as bench:
        nodes = bench.nodes(2, bench.redis())
        stays, goes = (node.connect() for node in nodes)
        stays.subscribe("presence-room", "stays")
        goes.subscribe("presence-room", "goes")
        wait_until(lambda: stays.joined("presence-room") == ["+goes"], "both")
        nodes[1].kill()
        at = time.monotonic()
        wait_until(lambda: stays.joined("presence-room") == ["+goes", "-goes"], "the end of its members")
        return time.monotonic() - at


def main(build):
    lines = [
        HEADING,
        "",
        "Written by `engine/tests/cluster/figures.py`. Nodes of one shard each, redis-server with an append-only file, the load generator",
        f"and all subscribers share the {len(os.sched_getaffinity(0))} cores, so what a Redis could carry is told by its CPU per event. Figures are medians",
        f"({ROUNDS} rounds of the latency, 3 of each fault, {PAIRS} interleaved pairs of what is beside another commit).",
        "",
        f"* commit: {told('git', 'describe', '--always', '--dirty', '--exclude', '*')}",
        f"* {told('redis-server', '--version').split(' sha')[0]}",
        "",
        "| what | target | measured | absolute figures | |",
        "|---|---|---|---|---|",
    ]
    for row in (latency, one_redis, two_redises, paced, joins, recovery, partial(without_a_cluster, build)):
        for found in row():
            what, target, measured, figures, is_met = (row.__doc__, *found)[-5:]
            word = {None: "–", True: "met", False: "**missed**"}[is_met]
            lines.append(f"| {what} | {target} | {measured} | {figures} | {word} |")
            print(lines[-1], flush=True)
    page = ROOT / "PERFORMANCE.md"
    text = re.sub(rf"{HEADING}\n.*?(?={NEXT})", "", page.read_text(), flags=re.S)
    page.write_text(text.replace(NEXT, "\n".join(lines) + f"\n\n{NEXT}", 1))


def told(*words):
    return subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    if sys.argv[1:2] == ["drain"]:
        drain(*sys.argv[2:])
    elif len(sys.argv) == 2:
        main(sys.argv[1])
    else:
        sys.exit(__doc__)
