"""What the scripts cost a real Redis: microseconds of its processor per call, by INFO cpu, and bytes that it keeps.

Starts a redis-server of its own: `python3 engine/bus/costs.py`.
"""

import re
import socket
import subprocess
import tempfile
import time
from pathlib import Path

SOURCE = Path(__file__).parent / "src"
PREFIX = "{corecast}"
EDGES_MAX = 1_000_000
BATCH = 64
EVENT = b"x" * 300


class Redis:
    """A server with the scripts, on a free port."""

    def __init__(self):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.directory = tempfile.TemporaryDirectory()
        words = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", self.directory.name]
        self.process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
        self.socket = self._connect(port)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.answers = self.socket.makefile("rb", 1 << 20)
        self.digests = {name: self.ask("SCRIPT", "LOAD", text) for name, text in scripts()}

    def _connect(self, port):
        end = time.monotonic() + 10
        while True:
            try:
                return socket.create_connection(("127.0.0.1", port))
            except OSError:
                assert time.monotonic() < end, "redis-server does not start"
                time.sleep(0.02)

    def answer(self):
        line = self.answers.readline()
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise RuntimeError(rest.decode())
        if kind == b"$":
            return self.answers.read(int(rest) + 2)[:-2] if rest != b"-1" else None
        if kind == b"*":
            return [self.answer() for _ in range(int(rest))]
        return int(rest) if kind == b":" else rest

    def ask(self, *words):
        self.socket.sendall(encoded(words))
        return self.answer()

    def call(self, script, *own):
        common = [PREFIX] if script == "publish" else [PREFIX, 0, 3000, 1000, 1 << 40, EDGES_MAX]
        return encoded(["EVALSHA", self.digests[script], 0, *common, *own])

    def run(self, calls):
        for start in range(0, len(calls), BATCH):
            part = calls[start : start + BATCH]
            self.socket.sendall(b"".join(part))
            for _ in part:
                self.answer()

    def processor_s(self):
        text = self.ask("INFO", "cpu").decode()
        return sum(float(re.search(rf"{name}:(\S+)", text)[1]) for name in ("used_cpu_user", "used_cpu_sys"))

    def measure(self, what, calls, each=1):
        before = self.processor_s()
        self.run(calls)
        spent_us = (self.processor_s() - before) * 1e6 / len(calls) / each
        print(f"{what:60} {spent_us:8.1f} µs")

    def kept_bytes(self):
        """All that it keeps but inboxes."""
        for key in self.ask("KEYS", f"{PREFIX}:in:*"):
            self.ask("DEL", key)
        return int(re.search(r"used_memory:(\d+)", self.ask("INFO", "memory").decode())[1])

    def weigh(self, what, calls, each):
        before = self.kept_bytes()
        self.run(calls)
        print(f"{what:60} {(self.kept_bytes() - before) / len(calls) / each:8.1f} B")

    def close(self):
        self.process.kill()
        self.process.wait()
        self.directory.cleanup()


def encoded(words):
    words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def scripts():
    """Each script that is put together in script.rs, by its name."""
    rules = (SOURCE / "script.rs").read_text()
    part = {name.upper(): (SOURCE / f"scripts/{name}.lua").read_text() for name in ("head", "inboxes", "levels", "leave", "reading")}
    for parts, name in re.findall(r'=> &\[([A-Z, ]*)include_str!\("scripts/(\w+)\.lua"\)', rules):
        heads = [part[head] for head in parts.replace(" ", "").split(",") if head]
        yield name, "#!lua\n" + "".join(heads) + (SOURCE / f"scripts/{name}.lua").read_text()


def epoch(node):
    return f"{node:016x}"


class Nodes:
    """So many registered nodes, each with the number of its next command."""

    def __init__(self, redis, count, has_hooks=False):
        redis.ask("FLUSHALL")
        self.redis, self.next = redis, [1] * count
        redis.run([redis.call("register", epoch(node), "", "d", "") for node in range(count)])
        if has_hooks:
            redis.run([redis.call("edges", epoch(0), "", 1, 1)])

    def commands(self, node, *commands):
        number = self.next[node]
        self.next[node] += len(commands)
        return self.redis.call("commands", epoch(node), number, *(word for words in commands for word in words))

    def publishes(self, count):
        number = self.next[0]
        self.next[0] += count
        return self.redis.call("publish", epoch(0), number, *(["P1/cnews", EVENT, 0] * count))


def main():
    redis = Redis()
    try:
        for count in (1, 3, 8):
            for batch in (1, 16):
                nodes = Nodes(redis, count)
                redis.run([nodes.commands(node, ["J", "1/cnews", 1, 1]) for node in range(count)])
                calls = [nodes.publishes(batch) for _ in range(20_000 // batch)]
                redis.measure(f"an event of 300 B, {count} interested nodes, {batch} at once", calls, batch)
        for hooks in (False, True):
            nodes = Nodes(redis, 3, hooks)
            told = ", with hooks" if hooks else ""
            joins = [nodes.commands(0, *(["J", f"1/c{n + i}", n + i + 1, 1] for i in range(16))) for n in range(0, 16_000, 16)]
            redis.measure(f"a channel's first subscriber{told}", joins, 16)
            enters = [
                nodes.commands(0, *(["E", "1/cpresence-a", n + i, "{}", n + i + 1, 0, 10**6] for i in range(16)))
                for n in range(0, 16_000, 16)
            ]
            redis.measure(f"a new member{told}", enters, 16)
        nodes = Nodes(redis, 2)
        for node in range(2):
            joins = [nodes.commands(node, *(["J", f"1/croom-{n + i:06}", n + i + 1, 1] for i in range(16))) for n in range(0, 16_000, 16)]
            redis.weigh(f"a channel with subscribers on node {node + 1}", joins, 16)
        info = '{"name":"' + "x" * 40 + '"}'
        for node in range(2):
            enters = [
                nodes.commands(node, *(["E", "1/cpresence-a", f"user-{n + i:06}", info, n + i + 1, 0, 10**6] for i in range(16)))
                for n in range(0, 16_000, 16)
            ]
            redis.weigh(f"a member on node {node + 1}", enters, 16)
        for count in (3, 10):
            nodes = Nodes(redis, count)
            beats = [redis.call("beat", epoch(0), 0, *(word for app in range(100) for word in (app, 5)))] * 200
            redis.measure(f"a sign of life among {count} nodes, 100 apps with a limit", beats)
    finally:
        redis.close()


if __name__ == "__main__":
    main()
