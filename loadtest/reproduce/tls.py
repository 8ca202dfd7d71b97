"""What TLS costs beside the same without it, and beside the encryption alone."""

import json
import subprocess
from pathlib import Path

from bench import cpu, median, ratio, spoiled, us
from table import Row, verdict

ROOT = Path(__file__).resolve().parents[2]
TLS = {"tls": True}

# An event of the load generator with its frame, and the most that a record of TLS holds, as in benches/benches/seal.rs.
EVENT_BYTES, RECORD_BYTES = 320, 16 << 10


def sealed_ns(bench, size):
    """What AES-256-GCM alone takes for so many bytes, in nanoseconds."""
    command = ["cargo", "bench", "--locked", "-p", "corecast-benches", "--bench", "seal"]
    ran = subprocess.run(bench.pinned(bench.cores.server, *command), cwd=ROOT, capture_output=True, text=True, timeout=1800)
    if ran.returncode != 0:
        raise RuntimeError("cargo bench failed")
    estimates = ROOT / f"target/criterion/seal/record/{size}/new/estimates.json"
    return json.loads(estimates.read_text())["mean"]["point_estimate"]


def beside_plain(bench, row, scenario, size, per_record):
    """A row: what a delivery costs with TLS and without it, and what the bytes of one take to be encrypted."""
    runs = {"tls": ("corecast", [*scenario, "--tls"], TLS), "plain": ("corecast", scenario, {})}
    found = bench.interleaved(row, runs)
    cost = {name: cpu(reports) for name, reports in found.items()}
    value, text = ratio(cost["tls"], cost["plain"])
    bare = sealed_ns(bench, size) / per_record
    more = median(cost["tls"]) - median(cost["plain"])
    absolute = f"{us(cost['tls'])}; without {us(cost['plain'])}; AES-256-GCM alone {bare / 1000:.3f} µs, so {more / bare:.1f} × that is added"
    return value, text, absolute, spoiled(*found.values()), found


def fan_out_with_tls(bench):
    """paced fan-out over TLS, 1,000 subscribers × 100 msg/s, CPU per delivery"""
    scenario = ["fanout", "--connections", bench.few(1000), "--rate", 100, "--duration", bench.seconds]
    _, text, absolute, doubt, _ = beside_plain(bench, "tls-paced", scenario, EVENT_BYTES, 1)
    return [Row(fan_out_with_tls.__doc__, "beside plain and AES-GCM", text, absolute, "–" + doubt)]


def saturated_with_tls(bench):
    """saturated fan-out over TLS, 1,000 subscribers, CPU per delivery"""
    scenario = ["fanout", "--connections", bench.few(1000), "--saturate", "--duration", bench.seconds]
    _, text, absolute, doubt, found = beside_plain(bench, "tls-saturated", scenario, RECORD_BYTES, RECORD_BYTES / EVENT_BYTES)
    rate = median([report["deliveries_per_second"] for report in found["tls"]])
    return [Row(saturated_with_tls.__doc__, "beside plain and AES-GCM", text, f"{absolute}; {rate / 1e6:.2f} M/s", "–" + doubt)]


def storm_with_tls(bench):
    """reconnect storm over TLS: 5,000 connections dropped, all back and subscribed"""
    rows = []
    for kind, flags in [("with tickets", ["--tls"]), ("with full handshakes", ["--tls", "--tls-full"])]:
        scenario = ["connect", "--storm", "--connections", bench.few(5_000), "--duration", 60, *flags]
        reports = [bench.measure(f"tls-storm-{kind.split()[1]}", "corecast", *scenario, **TLS) for _ in range(bench.rounds)]
        storms = [report["storm"] for report in reports]
        rate, slower = (median([found[what] for found in storms]) for what in ["reconnects_per_second", "live_p99_ratio"])
        live = median([report["live_during_us"]["p99"] for report in reports]) / 1000
        each = median([found["cpu_ns_per_reconnect"] for found in storms]) / 1000
        failed = sum(found["failed"] for found in storms)
        absolute = f"{each:.0f} µs of CPU each, {1e6 / each:,.0f}/s on a core; live p99 {live:.1f} ms; {failed} failed"
        met = slower <= 3 and not failed
        what = f"{storm_with_tls.__doc__}, {kind}"
        rows.append(Row(what, "live p99 ≤ 3 × before, none failed", f"{rate:,.0f}/s, live p99 {slower:.1f} ×", absolute, verdict(met) + spoiled(reports)))
    return rows
