"""The rows of hooks: what the way of an event through the journal carries, and what it costs the subscribers."""

import subprocess
import time
from contextlib import contextmanager

from bench import cpu, free_port, median, ratio, spoiled, us
from table import Row, verdict

APP = """[[apps]]
id = "1"
key = "key"
secret = "secret"
client_events = true
"""
# Events a second, some more than the target.
OFFERED = 110_000
# To nobody, since a receiver on this box would take the time of the server.
ENDPOINT = """
[[apps.hooks]]
none = true
events = ["channel_occupied", "channel_vacated", "member_added", "member_removed", "client_event"]

[hooks]
data_dir = "FOLDER/data"
"""


def hooks(bench):
    """hook events through the journal to a null sink"""
    seconds = 2 if bench.quick else 60
    through = throughput(bench, "--seconds", seconds)
    offered = throughput(bench, "--seconds", seconds // 2 + 1, "--rate", OFFERED)
    inserted = throughput(bench, "--seconds", seconds // 3 + 1, "--insert-only")
    out = through["out"]
    absolute = f"in {through['in']:,.0f}/s; file {through['file']:.0f} MB, RSS {through['RSS']:.0f} MB at most; offered as many as are taken"
    met = out >= 100_000 and through["file"] <= 256
    rows = [
        Row(hooks.__doc__, "≥ 100,000/s, file bounded", f"{out:,.0f}/s", absolute, verdict(met)),
        Row(f"from an event to its commit, p99, offered {OFFERED:,}/s", "≤ 20 ms", f"{offered['p99']:.0f} ms", f"{offered['delay']:.0f} ms half the time; out {offered['out']:,.0f}/s", verdict(offered["p99"] <= 20)),
        Row("the same, inserted only", "beside it", f"{inserted['in']:,.0f}/s", f"file {inserted['file']:,.0f} MB at the end", "–"),
    ]
    return rows + [through_redis(bench, seconds, *offered) for offered in [("--rate", OFFERED), ()]]


def through_redis(bench, seconds, *offered):
    """The same through a Redis stream, offered some more than the target or as many as are taken."""
    with redis_server(bench) as url:
        found = throughput(bench, "--seconds", seconds if offered else seconds // 2 + 1, *offered, "--redis", url)
    absolute = f"in {found['in']:,.0f}/s; file {found['file']:,.0f} MB at most; commit p99 {found['p99']:.0f} ms; Redis on the generator's core"
    if not offered:
        return Row("through a Redis stream, offered as many as are taken", "beside it", f"{found['out']:,.0f}/s", absolute, "–")
    met = found["out"] >= 100_000 and found["file"] <= 256
    return Row(f"through a Redis stream, offered {OFFERED:,}/s", "≥ 100,000/s, file bounded", f"{found['out']:,.0f}/s", absolute, verdict(met))


def throughput(bench, *arguments):
    """What the example of the hooks says: its lines end with the figures."""
    shown = "hooks/examples/throughput " + " ".join(str(argument) for argument in arguments if "redis://" not in str(argument))
    bench.commands.append(shown)
    command = bench.pinned(bench.cores.server, bench.options.throughput, *arguments)
    ran = subprocess.run(command, capture_output=True, text=True, timeout=600)
    lines = [line.split() for line in ran.stdout.splitlines()]
    found = {words[0]: float(words[1]) for words in lines if words[0] in {"in", "out", "delay", "file", "RSS"}}
    found |= {"p99": float(words[6]) for words in lines if words[0] == "delay"}
    # Into a stream faster than it is read, some are left when time is up.
    if ran.returncode != 0 and "--redis" not in arguments or not found:
        raise RuntimeError(ran.stderr.strip() or "no figures")
    return found


@contextmanager
def redis_server(bench):
    port = free_port(24_000)
    command = bench.pinned(bench.cores.generator, "redis-server", "--port", port, "--save", "", "--appendonly", "no")
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        time.sleep(1)
        yield f"redis://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def with_hooks(bench):
    """what hooks cost the subscribers"""
    fanout = ["fanout", "--connections", bench.few(1000), "--rate", 100, "--duration", bench.seconds]
    talk = ["client-events", "--connections", bench.few(1000), "--group", 10, "--senders", 10, "--duration", bench.seconds]
    rows = []
    for what, target, scenario in [("paced fan-out", "≤ 1.03 × without", fanout), ("5,000 client events/s, each a hook", "beside it", talk)]:
        runs = {name: ("corecast", scenario, {"config": text}) for name, text in [("with", APP + ENDPOINT), ("without", APP)]}
        found = bench.interleaved("hooks", runs)
        cost = {name: cpu(reports) for name, reports in found.items()}
        value, text = ratio(cost["with"], cost["without"])
        met = verdict(value <= 1.03) if target.startswith("≤") else "–"
        absolute = f"{us(cost['with'])} per delivery; without {us(cost['without'])}"
        rows.append(Row(f"{with_hooks.__doc__}: {what}", target, text, absolute, met + spoiled(*found.values())))
    return rows
