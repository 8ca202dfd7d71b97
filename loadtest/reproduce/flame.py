"""Where the time of a row goes that misses its target: samples of the server while the row's scenario runs, as a flame graph and
as groups of functions with what each has of one operation. Needs perf, and inferno (`cargo install inferno`)."""

import re
import shutil
import subprocess
import tempfile
import threading
import time
from collections import Counter, defaultdict
from pathlib import Path

SAMPLES_PER_SECOND = 1997
FUNCTIONS_MAX = 4
REST = "the rest"
# Which group a sample belongs to: the innermost function of its stack that one of these knows.
GROUPS = {
    "TCP and sockets": re.compile(r"^_*(tcp|ip|ip6|inet|inet6|sk|skb|sock|net|netif|dev|dst|loopback|nf|process_backlog|alloc_skb|kfree_skb|napi|enqueue_to_backlog|sys_(accept4?|sendmsg|recvfrom)|do_accept)(_|$)"),
    "scheduler": re.compile(r"^_*(schedule|sched|try_to_wake_up|ttwu|wake_up|pick_|update_curr|enqueue|dequeue|hrtimer|finish_task_switch|preempt|select_task|default_wake|autoremove_wake|do_idle|tick)"),
    "io_uring and system calls": re.compile(r"^_*(io_|do_syscall|x64_sys|entry_|syscall|fget|fdget|fput|eventfd|do_(ppoll|sys_poll)|ppoll|task_work)"),
    "our own functions": re.compile(r"::|^(_*mem(move|cpy|set|cmp)|_mi_|mi_|ring_core)"),
}
REMARK = re.compile(rb"(?m)^\s*//.*$")
# Generic arguments, hashes and the compiler's own tails say nothing to a reader.
NOISE = re.compile(r"::h[0-9a-f]{16}$|\.(llvm|constprop|isra|part|cold)[.\d]*|_\[[kpu]\]$")


def profile(bench, name, scenario, title, **extra):
    """Samples a run of its own. Gives the graph's file, and name, share and greatest functions of each group."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "perf.data"
        with bench.serve("corecast", **extra) as (pid, address, _):
            recorder = threading.Thread(target=record, args=(pid, data, list(map(str, scenario))))
            recorder.start()
            try:
                bench.drive(f"{name}-profiled", pid, address, scenario)
            finally:
                recorder.join()
        folded = fold(data)
    graph = bench.flames / f"{name}.svg"
    draw(folded, graph, title)
    return graph, shares(folded)


def record(pid, data, scenario):
    """From when all connections are there until just before they end; a scenario that is about connecting, from its start."""
    value = lambda option: float(scenario[scenario.index(option) + 1]) if option in scenario else 0.0
    seconds = value("--duration")
    if scenario[0] == "connect":
        seconds = 5
    else:
        wait_for_descriptors(pid, value("--connections"))
        seconds -= 2
    command = ["perf", "record", "-q", "-e", "cpu-clock", "-F", SAMPLES_PER_SECOND, "-g", "-p", pid, "-o", data, "--", "sleep", max(seconds, 1)]
    subprocess.run(list(map(str, command)), stderr=subprocess.DEVNULL, check=False)


def wait_for_descriptors(pid, count):
    give_up = time.monotonic() + 60
    while len(list(Path(f"/proc/{pid}/fd").iterdir())) < count and time.monotonic() < give_up:
        time.sleep(0.1)
    # What connecting has left behind.
    time.sleep(2)


def fold(data):
    script = subprocess.run(["perf", "script", "-i", str(data)], capture_output=True, check=True)
    return run_tool("inferno-collapse-perf", ["--all"], script.stdout)


def draw(folded, graph, title):
    graph.parent.mkdir(parents=True, exist_ok=True)
    # Frames that nobody could see in the whole picture make most of the file.
    options = ["--title", title, "--minwidth", "0.2", "--hash"]
    # Without the remarks in the picture's script: they are not ours.
    graph.write_bytes(REMARK.sub(b"", run_tool("inferno-flamegraph", options, folded)))


def shares(folded):
    """The greatest group first: its name, its share, and names and shares of the functions that have most of it themselves."""
    groups = defaultdict(Counter)
    for line in folded.decode().splitlines():
        stack, _, count = line.rpartition(" ")
        functions = [NOISE.sub("", function) for function in reversed(stack.split(";"))]
        groups[group_of(functions)][functions[0]] += int(count)
    total = sum(own.total() for own in groups.values())
    greatest = sorted(groups.items(), key=lambda group: -group[1].total())
    return [(name, own.total() / total, [(function, count / total) for function, count in own.most_common(FUNCTIONS_MAX)]) for name, own in greatest]


def group_of(functions):
    """The first of these names is that of the function itself, the last one of the thread."""
    known = (name for function in functions for name, pattern in GROUPS.items() if pattern.search(function))
    return next(known, REST)


def told(groups, cost):
    """In words; as time of one operation where that is known, and as shares otherwise."""
    amount = (lambda share: f"{share * cost.ours / 1000:.3f} µs") if cost else (lambda share: f"{share * 100:.1f} %")
    of = lambda functions: ", ".join(f"`{function}` {amount(share)}" for function, share in functions)
    lines = [f"* {name} {amount(share)}: {of(functions)}" for name, share, functions in groups]
    return lines + ([f"* {cost.missing()}."] if cost else [])


def run_tool(tool, options, given):
    if not shutil.which(tool):
        raise RuntimeError(f"{tool} is not installed: cargo install inferno")
    return subprocess.run([tool, *options], input=given, capture_output=True, check=True).stdout
