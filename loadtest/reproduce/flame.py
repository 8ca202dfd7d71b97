"""Where the time of a row goes that misses its target: samples of the server while the row's scenario runs, as a flame graph and
as the functions that have most of it themselves. Needs perf, and inferno (`cargo install inferno`)."""

import re
import shutil
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

SAMPLES_PER_SECOND = 1997
FUNCTIONS_MAX = 12
REMARK = re.compile(rb"(?m)^\s*//.*$")
# Generic arguments, hashes and the compiler's own tails say nothing to who reads a name.
NOISE = re.compile(r"::h[0-9a-f]{16}$|\.(llvm|constprop|isra|part|cold)[.\d]*|_\[[kpu]\]$")


def profile(bench, name, scenario, title, per_unit_ns=None, **extra):
    """Samples a run of its own. Gives the graph's file, and name and share of the functions that have most time themselves."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "perf.data"
        with bench.serve("corecast", **extra) as (pid, address, _):
            command = ["perf", "record", "-q", "-e", "cpu-clock", "-F", SAMPLES_PER_SECOND, "-g", "-p", pid, "-o", data]
            recorder = subprocess.Popen(list(map(str, command)), stderr=subprocess.DEVNULL)
            try:
                bench.drive(f"{name}-profiled", pid, address, scenario)
            finally:
                recorder.terminate()
                recorder.wait()
        folded = fold(data)
    graph = bench.flames / f"{name}.svg"
    draw(folded, graph, title)
    return graph, own_shares(folded)


def fold(data):
    script = subprocess.run(["perf", "script", "-i", str(data)], capture_output=True, check=True)
    return run_tool("inferno-collapse-perf", ["--all"], script.stdout)


def draw(folded, graph, title):
    graph.parent.mkdir(parents=True, exist_ok=True)
    # Frames that nobody could see in the whole picture make most of the file.
    options = ["--title", title, "--minwidth", "0.2", "--hash"]
    # Without the remarks in the picture's script: they are not ours.
    graph.write_bytes(REMARK.sub(b"", run_tool("inferno-flamegraph", options, folded)))


def own_shares(folded):
    own = Counter()
    for line in folded.decode().splitlines():
        stack, _, count = line.rpartition(" ")
        own[NOISE.sub("", stack.rsplit(";", 1)[-1])] += int(count)
    total = sum(own.values())
    return [(name, count / total) for name, count in own.most_common(FUNCTIONS_MAX)]


def run_tool(tool, options, given):
    if not shutil.which(tool):
        raise RuntimeError(f"{tool} is not installed: cargo install inferno")
    return subprocess.run([tool, *options], input=given, capture_output=True, check=True).stdout
