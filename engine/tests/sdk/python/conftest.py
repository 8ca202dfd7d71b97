"""One server for all Python tests, a server SDK that leads to it, and connections that end with their test.

With SDK_NODES=2 it is two nodes that a Redis joins: clients are on one, back ends talk to the other.
"""

import os
import sys
import time
from pathlib import Path

import pusher
import pytest

for folder in ("load", "hooks"):
    sys.path.insert(0, str(Path(__file__).parents[2] / folder))

from connection import Connection  # noqa: E402
from server import APP_ID, HOST, KEY, SECRET, Server  # noqa: E402
from streams import Redis  # noqa: E402

NODES = int(os.environ.get("SDK_NODES", "1"))
JOIN_S_MAX = 15


@pytest.fixture(scope="session")
def nodes(tmp_path_factory):
    """The server, or all nodes."""
    redis = Redis(tmp_path_factory.mktemp("nodes") / "redis") if NODES > 1 else None
    arguments = ["--cluster", redis.url] if redis else []
    all_nodes = [Server(arguments=arguments) for _ in range(NODES)]
    end = time.monotonic() + JOIN_S_MAX
    while redis and not all("joined with others" in node.output() for node in all_nodes):
        assert time.monotonic() < end, [node.output() for node in all_nodes]
        time.sleep(0.02)
    yield all_nodes
    for node in all_nodes:
        node.stop()
    if redis:
        redis.close()


@pytest.fixture(scope="session")
def server(nodes):
    """Where clients are."""
    return nodes[0]


@pytest.fixture
def sdk_of(nodes):
    """Makes a server SDK as an application does; arguments stand in for the right credentials."""

    def make(app_id=APP_ID, key=KEY, secret=SECRET):
        return pusher.Pusher(app_id, key, secret, ssl=False, host=HOST, port=nodes[-1].port, timeout=15)

    return make


@pytest.fixture
def sdk(sdk_of):
    return sdk_of()


@pytest.fixture
def connect(server, sdk):
    """Opens connections, and closes them at the end."""
    opened = []

    def make():
        opened.append(Connection(server, sdk))
        return opened[-1]

    yield make
    for connection in opened:
        connection.close()
