"""PERFORMANCE.md: the table, and what must be known to believe it."""

import re
from dataclasses import dataclass

HEAD = """# Performance

Written by `loadtest/reproduce.sh`; change that, not this.

Every ratio is between runs of the same half hour, interleaved, each against a freshly started server: the median of the ratios
within each round, with their range. The *floor* (`corecast-loadtest floor`) is the least a program can do for the same clients:
handshake, then ready-made bytes, no JSON, no channels, no checks. CPU is that of all threads and children of the server, and
of ksoftirqd on its core, for the floor alike. Loopback bills the receiver's kernel work to the sender.
"""


@dataclass
class Cost:
    """What one of something costs the server, what it may, and what it costs the floor, in nanoseconds."""

    per: str
    ours: float
    target: float
    floor: float = None

    def missing(self):
        """In words, with what the floor takes of it."""
        missing = (self.ours - self.target) / 1000
        told = f"{missing:.3f} µs are missing to the target" if missing > 0 else "No time is missing to the target: the row misses another figure"
        return told + (f"; the floor takes {self.floor / 1000:.3f} µs" if self.floor else "")


@dataclass
class Row:
    what: str
    target: str
    measured: str
    absolute: str
    verdict: str
    # What to look into when it is missed: a name, the arguments of the load test, and what the server is started with.
    scenario: tuple = None
    cost: Cost = None

    def is_missed(self):
        return self.verdict.startswith(MISSED)


@dataclass
class Section:
    """A table of its own below that of the rows, or some text."""

    title: str
    lines: list


MISSED = "**missed**"


def verdict(is_met):
    return "met" if is_met else MISSED


def write(path, rows, facts, bench, sections=()):
    lines = [HEAD]
    if bench.quick:
        lines.append("**A quick run: it shows that all of it works, not how fast anything is.**\n")
    lines += [f"* {name}: {value}" for name, value in facts.items()]
    lines += [f"* {bench.cores.describe()}", f"* rounds: {bench.rounds}", ""]
    lines += ["| what | target | measured | absolute figures | |", "|---|---|---|---|---|"]
    lines += [f"| {row.what} | {row.target} | {row.measured} | {row.absolute} | {row.verdict} |" for row in rows]
    for section in sections:
        lines += ["", f"## {section.title}", "", *section.lines]
    lines += ["", *section_of_another(path), "## What was run", ""]
    lines += [f"    {command}" for command in bench.commands]
    path.write_text("\n".join(lines) + "\n")


def section_of_another(path):
    """The figures of a cluster, which engine/tests/cluster/figures.py writes into the same file."""
    text = path.read_text() if path.exists() else ""
    found = re.search(r"^## A cluster\n.*?(?=^## What was run$)", text, flags=re.S | re.M)
    return found[0].rstrip("\n").split("\n") + [""] if found else []
