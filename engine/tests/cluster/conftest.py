"""Nodes of a cluster, the Redis between them, and their clients; all of them end with their test. The modules beside the
other Python tests serve here too."""

import sys
from pathlib import Path

import pytest

for folder in ("sdk/python", "load", "hooks"):
    sys.path.insert(0, str(Path(__file__).parents[1] / folder))

from nodes import Node, Proxy  # noqa: E402
from streams import Redis  # noqa: E402


@pytest.fixture
def ends():
    """Whatever is put in here is closed at the end of the test, the last one first."""
    things = []
    yield things
    for thing in reversed(things):
        thing.close()


@pytest.fixture
def redis(ends, tmp_path):
    ends.append(Redis(tmp_path / "redis"))
    return ends[-1]


@pytest.fixture(params=[1, 2], ids=["1 shard", "2 shards"])
def shards(request):
    return request.param


@pytest.fixture
def start(ends, shards):
    """Starts a node at this Redis, or at a proxy before it."""

    def make(redis, *arguments, **how):
        ends.append(Node(redis, shards, arguments, **how))
        return ends[-1]

    return make


@pytest.fixture
def three(redis, start):
    nodes = [start(redis) for _ in range(3)]
    for node in nodes:
        node.wait_until_joined()
    return nodes


@pytest.fixture
def before(ends):
    """A proxy before a Redis."""

    def make(redis):
        ends.append(Proxy(redis))
        return ends[-1]

    return make
