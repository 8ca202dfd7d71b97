"""What `flush_interval_ms` buys and costs: CPU of a delivery and its time, against the interval."""

from bench import median
from table import Section

INTERVALS_MS = [0, 1, 2, 5, 10, 16, 33, 50, 100]


def flush_intervals(bench):
    """1,000 subscribers × 1,000 msg/s, by interval"""
    connections = bench.few(1000)
    scenario = ["fanout", "--connections", connections, "--rate", 1000, "--duration", bench.seconds / 2]
    lines = [
        f"`corecast-loadtest {' '.join(map(str, scenario))}` against an app with that setting, median of {bench.rounds} interleaved rounds.",
        "",
        "| `flush_interval_ms` | CPU per delivery | p50 | p99 | lost |",
        "|---|---|---|---|---|",
    ]
    print(f"\n== {flush_intervals.__doc__}", flush=True)
    runs = {ms: ("corecast", scenario, {"config": config(ms)}) for ms in INTERVALS_MS}
    for ms, reports in bench.interleaved("flush-interval", runs).items():
        cost = median([report["server"]["cpu_ns_per_delivery"] for report in reports])
        half, most = (median([report["latency_us"][q] for report in reports]) / 1000 for q in ["p50", "p99"])
        lost = sum(report["lost"] for report in reports)
        lines.append(f"| {ms} | {cost / 1000:.3f} µs | {half:.1f} ms | {most:.1f} ms | {lost} |")
        print(f"   {lines[-1]}", flush=True)
    return Section("What `flush_interval_ms` buys", lines)


def config(interval_ms):
    return f'''[[apps]]
id = "1"
key = "key"
secret = "secret"
flush_interval_ms = {interval_ms}
'''
