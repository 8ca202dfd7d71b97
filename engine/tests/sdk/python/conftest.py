"""One server for all Python tests, a server SDK that leads to it, and connections that end with their test."""

import pusher
import pytest

from connection import Connection
from server import APP_ID, HOST, KEY, SECRET, Server


@pytest.fixture(scope="session")
def server():
    running = Server()
    yield running
    running.stop()


@pytest.fixture
def sdk_of(server):
    """Makes a server SDK as an application does; arguments stand in for the right credentials."""

    def make(app_id=APP_ID, key=KEY, secret=SECRET):
        return pusher.Pusher(app_id, key, secret, ssl=False, host=HOST, port=server.port, timeout=15)

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
