"""A network of its own, whose loopback has its receive work done on the generator's core: there a server pays for itself alone."""

import os
import subprocess
from contextlib import contextmanager

NAME = "corecast-loadtest"


@contextmanager
def steered_network(bench):
    """Both processes of each run inside are started in it. Needs root and `ip`."""
    if os.geteuid() != 0:
        raise RuntimeError("needs root")
    inside = ["ip", "netns", "exec", NAME]
    run("ip", "netns", "add", NAME)
    try:
        run(*inside, "ip", "link", "set", "lo", "up")
        mask = f"{1 << bench.cores.generator:x}"
        run(*inside, "sh", "-c", f"echo {mask} > /sys/class/net/lo/queues/rx-0/rps_cpus")
        bench.prefix = inside
        yield
    finally:
        bench.prefix = []
        run("ip", "netns", "del", NAME)


def run(*command):
    try:
        ran = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise RuntimeError(f"{command[0]} is not installed") from error
    if ran.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {ran.stderr.strip()}")
