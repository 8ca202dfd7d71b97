"""Runs all rows of the table of targets and writes PERFORMANCE.md.

Each row compares medians of interleaved rounds on freshly started servers, never figures of different days. A row that cannot
be run says why in its place: the table always has all rows.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

from bench import Bench
from curve import flush_intervals
from flame import profile, told
from machine import Cores, facts
from rows import ROWS
from table import Row, Section, write

ROOT = Path(__file__).resolve().parents[2]


def main():
    options = parse_options()
    bench = Bench(options, Cores.choose(), ROOT / "target/report")
    print(bench.cores.describe(), flush=True)
    rows = []
    for run_row in ROWS:
        if options.only and not any(word in run_row.__name__ for word in options.only):
            continue
        print(f"\n== {run_row.__doc__}", flush=True)
        begun = time.monotonic()
        try:
            found = run_row(bench)
        except (RuntimeError, KeyError, TypeError, subprocess.SubprocessError) as error:
            found = [Row(run_row.__doc__, "", "–", "", f"not measured: {error}")]
        for row in found:
            print(f"   {row.measured} · {row.absolute} · {row.verdict}", flush=True)
        print(f"   ({time.monotonic() - begun:.0f} s)", flush=True)
        rows.extend(found)
    sections = [flush_intervals(bench)] if not options.only or "flush" in options.only else []
    if not bench.quick:
        sections.append(missing_time(bench, rows))
    write(options.output, rows, facts(ROOT), bench, sections)
    print(f"\nwritten: {options.output}, {bench.reports}")
    return 0


def missing_time(bench, rows):
    """For each missed row that says how: its flame graph, and where the time goes."""
    lines = [
        "Samples of the server alone in a run of its own; their shares of what the row has measured for one operation. A function has what it",
        "takes itself, without what it calls; it is in the group of the innermost function of its stack that is known to be of one.",
    ]
    for row in rows:
        if not (row.is_missed() and row.scenario):
            continue
        name, scenario, extra = row.scenario
        print(f"\n== where the time goes: {row.what}", flush=True)
        try:
            graph, groups = profile(bench, name, scenario, f"{row.what} ({row.measured})", **extra)
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:
            lines += ["", f"**{row.what}** ({row.measured}, {row.target}): not sampled: {error}"]
            continue
        per = f", {row.cost.ours / 1000:.3f} µs per {row.cost.per}" if row.cost else ""
        lines += ["", f"**{row.what}** ({row.measured}, {row.target}{per}): [flame graph]({graph.relative_to(ROOT)}).", "", *told(groups, row.cost)]
    return Section("Where the time of missed rows goes", lines)


def parse_options():
    parser = argparse.ArgumentParser(prog="loadtest/reproduce.sh", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round with few connections: shows that it runs, not how fast")
    parser.add_argument("--rounds", type=int, help="interleaved rounds of each comparison (default 5; 1 with --quick)")
    parser.add_argument("--only", action="append", metavar="WORD", help="only rows whose name has this word; repeatable")
    parser.add_argument("--output", type=Path, default=ROOT / "PERFORMANCE.md", metavar="FILE")
    parser.add_argument("--corecast", type=Path, default=ROOT / "target/release/corecast", metavar="FILE")
    parser.add_argument("--counting", type=Path, default=ROOT / "target/counting/corecast", metavar="FILE", help="built with the feature `counting`")
    parser.add_argument("--throughput", type=Path, default=ROOT / "target/release/examples/throughput", metavar="FILE")
    parser.add_argument("--loadtest", type=Path, default=ROOT / "target/release/corecast-loadtest", metavar="FILE")
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 5)
    return options


if __name__ == "__main__":
    sys.exit(main())
