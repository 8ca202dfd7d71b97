"""The machine: which core serves, which one generates, and what a reader must know of both."""

import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Cores:
    server: int
    generator: int

    @classmethod
    def choose(cls):
        """The first core that may be used, and the next that is no hardware thread of it."""
        allowed = sorted(os.sched_getaffinity(0))
        server = allowed[0]
        others = [core for core in allowed[1:] if core not in siblings(server)] or allowed[1:] or allowed
        return cls(server, others[0])

    def describe(self):
        shared = " (the same: figures are worth little)" if self.server == self.generator else ""
        return f"Server and all its threads on core {self.server}, load generator on core {self.generator}{shared}."


def siblings(core):
    path = Path(f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list")
    found = set()
    for part in path.read_text().strip().split(",") if path.exists() else []:
        first, _, last = part.partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    return found


def facts(root):
    """Name and value of what figures depend on."""
    cpuinfo = Path("/proc/cpuinfo").read_text()
    models = [line.split(":", 1)[1].strip() for line in cpuinfo.splitlines() if line.startswith("model name")]
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=root, capture_output=True, text=True)
    return {
        "CPU": models[0] if models else platform.machine(),
        "cores that may be used": str(len(os.sched_getaffinity(0))),
        "kernel": platform.release(),
        "commit": commit.stdout.strip() or "unknown",
    }
