"""The rows of the table of targets, each a function from a bench to what it found. Their order is that of the table."""

import json
import resource
import subprocess
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from bench import cpu, free_port, median, ratio, spoiled, us
from hooks import hooks, with_hooks
from namespace import steered_network
from table import Cost, Row, verdict
from tls import fan_out_with_tls, saturated_with_tls, storm_with_tls

ROOT = Path(__file__).resolve().parents[2]


def bounded(per, ours, most, others, floor=True):
    """Of a row that may cost `most` times what the others do."""
    return Cost(per, median(ours), most * median(others), median(others) if floor else None)


def calls(reports):
    """System calls of the floor per delivery."""
    return f"{median([r['floor']['syscalls_per_delivery'] for r in reports]):.3f} syscalls"


def against_floor(bench, row, modes, scenario, per="delivery", **extra):
    runs = {"corecast": ("corecast", scenario, extra)} | {mode: (mode, scenario, {}) for mode in modes}
    found = bench.interleaved(row, runs)
    return found, {name: cpu(reports, per) for name, reports in found.items()}


def paced(bench):
    """paced fan-out, 1,000 subscribers × 100 msg/s, CPU per delivery"""
    scenario = ["fanout", "--connections", bench.few(1000), "--rate", 100, "--duration", bench.seconds]
    found, cost = against_floor(bench, "paced", ["each", "uring"], scenario)
    doubt, ours = spoiled(*found.values()), us(cost["corecast"])
    rows = []
    for mode, most, kind in [("each", 1.05, "must"), ("uring", 1.10, "goal")]:
        value, text = ratio(cost["corecast"], cost[mode])
        absolute = f"{ours}; floor `{mode}` {us(cost[mode])}, {calls(found[mode])}"
        rows.append(Row(paced.__doc__, f"{kind}: ≤ {most} × floor `{mode}`", text, absolute, verdict(value <= most) + doubt, ("paced", scenario, {}), bounded("delivery", cost["corecast"], most, cost[mode])))
    return rows


def paced_steered(bench):
    """the same in a network whose receive work is steered to the other core"""
    scenario = ["fanout", "--connections", bench.few(1000), "--rate", 100, "--duration", bench.seconds]
    with steered_network(bench):
        found, cost = against_floor(bench, "steered", ["each"], scenario)
    value, text = ratio(cost["corecast"], cost["each"])
    absolute = f"{us(cost['corecast'])}; floor `each` {us(cost['each'])}, {calls(found['each'])}"
    return [Row(paced_steered.__doc__, "≤ 1.05 × floor `each`", text, absolute, verdict(value <= 1.05) + spoiled(*found.values()))]


def saturated(bench):
    """saturated fan-out, 1,000 subscribers, CPU per delivery"""
    scenario = ["fanout", "--connections", bench.few(1000), "--saturate", "--duration", bench.seconds]
    found, cost = against_floor(bench, "saturated", ["coalesced"], scenario)
    value, text = ratio(cost["corecast"], cost["coalesced"])
    rate = median([r["deliveries_per_second"] for r in found["corecast"]])
    absolute = f"{us(cost['corecast'])}, {rate / 1e6:.2f} M/s; floor `coalesced` {us(cost['coalesced'])}, {calls(found['coalesced'])}"
    met = value <= 1.25 and rate >= 1.8e6
    target = "≤ 1.25 × floor `coalesced`, ≥ 1.8 M/s"
    return [Row(saturated.__doc__, target, text, absolute, verdict(met) + spoiled(*found.values()), ("saturated", scenario, {}), bounded("delivery", cost["corecast"], 1.25, cost["coalesced"]))]


def ten_thousand(bench):
    """10,000 subscribers × 5 msg/s, time from POST to delivery, p99"""
    scenario = ["fanout", "--connections", bench.few(10_000), "--rate", 5, "--duration", bench.seconds]
    found, _ = against_floor(bench, "ten-thousand", ["each"], scenario)
    times = {name: [r["latency_us"]["p99"] for r in reports] for name, reports in found.items()}
    value, text = ratio(times["corecast"], times["each"])
    absolute = f"{median(times['corecast']) / 1000:.1f} ms; floor `each` {median(times['each']) / 1000:.1f} ms, {calls(found['each'])}"
    return [Row(ten_thousand.__doc__, "≤ 1.1 × floor `each`", text, absolute, verdict(value <= 1.1) + spoiled(*found.values()))]


def connecting(bench):
    """connect + upgrade + subscribe, CPU per connection"""
    scenario = ["connect", "--connections", bench.few(10_000), "--duration", 30]
    found, cost = against_floor(bench, "connect", ["echo"], scenario, per="connect")
    value, text = ratio(cost["corecast"], cost["echo"])
    rate, floor = (median([r["connects_per_second"] for r in found[name]]) for name in ["corecast", "echo"])
    doubt = spoiled(*found.values())
    absolute = f"{us(cost['corecast'])}, {rate:,.0f}/s; floor `echo` {us(cost['echo'])}, {floor:,.0f}/s"
    return [
        Row(connecting.__doc__, "≤ 1.3 × floor `echo`, ≥ 20,000/s", text, absolute, verdict(value <= 1.3 and rate >= 20_000) + doubt, ("connect", scenario, {}), bounded("connection", cost["corecast"], 1.3, cost["echo"])),
    ]


def memory(bench):
    """memory per idle subscribed connection"""
    live = {}
    for connections in [0, bench.few(2_000), bench.few(10_000), bench.few(18_000)]:
        live[connections] = live_bytes(bench, connections) if connections else 0
    none, few, middle, many = sorted(live)
    each = live[middle] / middle
    more = (live[many] - live[few]) / (many - few)
    scenario = ["connect", "--connections", middle, "--duration", 30]
    resident = bench.measure("memory", "corecast", *scenario)["server"]["rss_bytes_per_connection"]
    absolute = f"live bytes of a build whose allocator counts, over {middle:,} connections; {more:,.0f} B from {few:,} to {many:,}; RSS {resident:,.0f} B"
    return [
        Row(memory.__doc__, "≤ 400 B", f"{each:,.0f} B", absolute, verdict(each <= 400)),
        memory_with_tls(bench),
    ]


def memory_with_tls(bench):
    """the same with TLS"""
    live = {connections: live_bytes(bench, connections, tls=True) for connections in {bench.few(1_000), bench.few(5_000)}}
    few, many = sorted(live)
    each = live[many] / many
    more = (live[many] - live[few]) / (many - few)
    absolute = f"live bytes over {many:,} connections; {more:,.0f} B from {few:,} to {many:,}"
    return Row(memory_with_tls.__doc__, "≤ 8 KiB", f"{each:,.0f} B", absolute, verdict(each <= 8 << 10))


def live_bytes(bench, connections, tls=False):
    """What the server's allocator has given out for so many connections."""
    # Apart from the server's own, which is not taken yet.
    admin = f"127.0.0.1:{free_port(23_000)}"
    with bench.serve("corecast", binary=bench.options.counting, arguments=["--admin", admin], tls=tls) as (pid, address, _):
        before = allocated(admin)
        scenario = ["idle", "--connections", connections, "--ping-every", 120, "--duration", 5] + (["--tls"] if tls else [])
        with ThreadPoolExecutor(1) as pool:
            driven = pool.submit(bench.drive, "memory-counted", pid, address, scenario)
            while connected(admin) < connections and not driven.done():
                time.sleep(0.2)
            time.sleep(1)
            after = allocated(admin)
            if connected(admin) != connections:
                raise RuntimeError("the connections were not all there when memory was read")
            driven.result()
    return after - before


def allocated(admin):
    return metric(admin, "corecast_allocated_bytes")


def connected(admin):
    return metric(admin, "corecast_connections")


def metric(admin, family):
    with urllib.request.urlopen(f"http://{admin}/metrics", timeout=30) as answer:
        samples = [line for line in answer.read().decode().splitlines() if line.startswith(family)]
    samples = [line.rsplit(" ", 1) for line in samples]
    return sum(float(value) for name, value in samples if name.split("{")[0] == family)


def three_shards(bench):
    """connect + subscribe on 3 shards, CPU per connection"""
    scenario = ["connect", "--connections", bench.few(10_000), "--duration", 30]
    runs = {"three": ("corecast", scenario, {"shards": 3}), "one": ("corecast", scenario, {"shards": 1})}
    found = bench.interleaved("three-shards", runs)
    cost = {name: cpu(reports, "connect") for name, reports in found.items()}
    value, text = ratio(cost["three"], cost["one"])
    absolute = f"{us(cost['three'])}; on one {us(cost['one'])}; all shards on one core"
    return [Row(three_shards.__doc__, "≤ 1.5 × on one", text, absolute, verdict(value <= 1.5) + spoiled(*found.values()), ("three-shards", scenario, {"shards": 3}), bounded("connection", cost["three"], 1.5, cost["one"], floor=False))]


def simulated(bench):
    """the pure shard with 1,000,000 connections, no socket"""
    command = ["cargo", "bench", "--locked", "-p", "corecast-benches", "--bench", "fan_out", "--", "1000000"]
    ran = subprocess.run(bench.pinned(bench.cores.server, *command), cwd=ROOT, capture_output=True, text=True, timeout=1800)
    if ran.returncode != 0:
        raise RuntimeError("cargo bench failed")
    memory = next(line for line in ran.stdout.splitlines() if line.startswith("memory of 1000000"))
    memory = int(memory.split(":")[1].split()[0])
    [estimates] = (ROOT / "target/criterion").glob("fan-out*/subscribers/1000000/new/estimates.json")
    ns = json.loads(estimates.read_text())["mean"]["point_estimate"] / 16e6
    met = memory <= 300 and ns <= 3
    return [Row(simulated.__doc__, "≤ 300 B, ≤ 3 ns per delivery", f"{memory} B, {ns:.2f} ns", "16 frames per turn", verdict(met))]


def inbound(bench):
    """inbound pings, 10,000 connections, 20,000/s, CPU per message"""
    connections = bench.few(10_000)
    scenario = ["idle", "--connections", connections, "--ping-every", 0.5, "--duration", bench.seconds]
    runs = {"corecast": ("corecast", scenario, {}), "echo": ("echo", scenario, {})}
    found = bench.interleaved("inbound", runs)
    cost = {name: [r["server"]["cpu_ratio"] * 1e9 / (connections * 2) for r in reports] for name, reports in found.items()}
    value, text = ratio(cost["corecast"], cost["echo"])
    absolute = f"{us(cost['corecast'])}; floor `echo` {us(cost['echo'])}"
    return [Row(inbound.__doc__, "≤ 1.3 × floor `echo`", text, absolute, verdict(value <= 1.3) + spoiled(*found.values()), ("inbound", scenario, {}), bounded("message", cost["corecast"], 1.3, cost["echo"]))]


def publishing(bench):
    """signed REST publish to an empty channel, CPU per publish"""
    rows = []
    for kind, most_us, arguments in [
        ("pipelined, depth 16", 8, ["--publishers", 1, "--pipeline", 16]),
        ("keep-alive, 16 connections", 14, ["--publishers", 16, "--pipeline", 1]),
    ]:
        scenario = ["publish", *arguments, "--duration", bench.seconds]
        found, cost = against_floor(bench, "publish", ["http"], scenario, per="publish")
        value, text = ratio(cost["corecast"], cost["http"])
        absolute = f"{us(cost['corecast'])}; floor `http` {us(cost['http'])}"
        may = bounded("publish", cost["corecast"], 2, cost["http"])
        may.target = min(may.target, most_us * 1000)
        met = value <= 2 and median(cost["corecast"]) <= most_us * 1000
        target = f"≤ {most_us} µs, ≤ 2 × floor `http`"
        rows.append(Row(f"{publishing.__doc__}, {kind}", target, text, absolute, verdict(met) + spoiled(*found.values()), (f"publish-{kind.split()[0].strip(',')}", scenario, {}), may))
    return rows


def idle(bench):
    """idle, 19,000 connections, share of a core"""
    connections = min(bench.few(19_000), resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 700)
    scenario = ["idle", "--connections", connections, "--ping-every", 120, "--duration", 3 * bench.seconds]
    reports = bench.repeated("idle", *scenario)
    share = median([report["server"]["cpu_ratio"] for report in reports])
    cost = Cost("ping", share * 120e9 / connections, 0.005 * 120e9 / connections)
    absolute = f"{connections:,} connections, {cost.ours / 1000:.1f} µs per ping"
    return [Row(idle.__doc__, "< 0.5 %", f"{share * 100:.2f} %", absolute, verdict(share < 0.005) + spoiled(reports), ("idle", scenario, {}), cost)]


def many_channels(bench):
    """500 channels × 20 against one × 10,000, CPU per delivery"""
    connections, rows = ["--connections", bench.few(10_000)], []
    channels = ["channels", "--channels", bench.few(500), *connections, "--duration", bench.seconds]
    fanout = ["fanout", *connections, "--duration", bench.seconds]
    # As many publishes in flight as give each channel some: 64, the usual window, are 64 channels with one event each.
    in_flight = ["--saturate", "--window", 8 * bench.few(500)]
    kinds = [("saturated", 1.3, in_flight, ["--saturate"]), ("paced, 5,000 publishes/s", 2.5, ["--rate", bench.few(5000)], ["--rate", 10])]
    for kind, most, many, one in kinds:
        runs = {"many": ("corecast", channels + many, {}), "one": ("corecast", fanout + one, {})}
        found = bench.interleaved("channels", runs)
        cost = {name: cpu(reports) for name, reports in found.items()}
        value, text = ratio(cost["many"], cost["one"])
        absolute = f"{us(cost['many'])}; one channel {us(cost['one'])}"
        rows.append(Row(f"{many_channels.__doc__}, {kind}", f"≤ {most} ×", text, absolute, verdict(value <= most) + spoiled(*found.values()), (f"many-channels-{kind.split(',')[0]}", channels + many, {}), bounded("delivery", cost["many"], most, cost["one"], floor=False)))
    return rows


def slow_readers(bench):
    """publish p99 while 10 % of the subscribers never read"""
    scenario = ["slow", "--connections", bench.few(1000), "--slow-percent", 10, "--rounds", bench.rounds, "--duration", bench.seconds]
    report = bench.measure("slow", "corecast", *scenario)
    value = report["p99_ratio"]
    absolute = f"p99 {report['latency_us']['p99'] / 1000:.1f} ms; without {report['without_slow_us']['p99'] / 1000:.1f} ms"
    return [Row(slow_readers.__doc__, "≤ 1.2 × of none", f"{value:.2f} ×", absolute, verdict(value <= 1.2) + spoiled([report]))]


# Processes that receive while there is overload.
RECEIVERS = 4


def overload(bench):
    """publishers offer 5 × what can be fanned out"""
    rows = []
    # The subscribers are to be healthy: they have both processors when they want them, by several processes since one would
    # leave the server's to it for long, and the server has what they leave.
    for connections in [bench.few(1000), bench.few(10_000)]:
        base = ["fanout", "--connections", connections, "--processes", RECEIVERS, "--duration"]
        bench.generator_first = True
        try:
            most = bench.repeated("overload-base", *base, bench.seconds, "--saturate")
            reports = bench.repeated("overload", *base, 4 if bench.quick else 60, "--overload", 5)
        finally:
            bench.generator_first = False
        rate, base_rate = (median([report["deliveries_per_second"] for report in found]) for found in [reports, most])
        lost, closed = (sum(report[what] for report in reports) for what in ["lost", "parted"])
        share, rss = rate / base_rate, max(report["server"]["rss_bytes"] for report in reports)
        met = lost == closed == 0 and share >= 0.9
        absolute = f"{rate / 1e6:.2f} M/s; {lost} lost, {closed} closed; RSS {rss / 1e6:.0f} MB"
        what = f"{overload.__doc__}, {connections:,} subscribers"
        rows.append(Row(what, "none lost or closed, goodput ≥ 0.9", f"{share:.2f} × saturated", absolute, verdict(met)))
    return rows


def storm(bench):
    """reconnect storm: 10,000 connections dropped, all back and subscribed"""
    reports = bench.repeated("storm", "connect", "--storm", "--connections", bench.few(10_000), "--duration", 30)
    storms = [report["storm"] for report in reports]
    rate, slower = (median([found[what] for found in storms]) for what in ["reconnects_per_second", "live_p99_ratio"])
    failed = sum(found["failed"] for found in storms)
    measured = f"{rate:,.0f}/s, live p99 {slower:.1f} ×"
    met = rate >= 20_000 and slower <= 3 and not failed
    return [Row(storm.__doc__, "≥ 20,000/s, live p99 ≤ 3 × before", measured, f"{failed} failed", verdict(met) + spoiled(reports))]


def wake_up(bench):
    """publish → delivery at 10 publishes/s on an idle server, p99.9"""
    reports = bench.repeated("wake-up", "fanout", "--connections", 1, "--rate", 10, "--duration", 10 * bench.seconds)
    half, value = (median([report["latency_us"][q] for report in reports]) / 1000 for q in ["p50", "p999"])
    return [Row(wake_up.__doc__, "≤ 5 ms", f"{value:.2f} ms", f"p50 {half:.2f} ms", verdict(value <= 5) + spoiled(reports))]


ROWS = [
    paced, paced_steered, saturated, ten_thousand, connecting, memory, simulated, inbound, publishing, idle, many_channels, slow_readers,
    overload, storm, fan_out_with_tls, saturated_with_tls, storm_with_tls, three_shards, wake_up, hooks, with_hooks,
]
