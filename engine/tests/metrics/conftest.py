"""Servers whose metrics are read, which end with their test. The modules beside the other Python tests serve here too."""

import sys
from pathlib import Path

import pytest

for folder in ("sdk/python", "load", "hooks"):
    sys.path.insert(0, str(Path(__file__).parents[1] / folder))

from measured import Measured  # noqa: E402


@pytest.fixture
def start():
    """Starts a server with these arguments."""
    servers = []

    def make(*arguments, shards=1, app=None):
        servers.append(Measured(arguments=arguments, shards=shards, **({} if app is None else {"app": app})))
        return servers[-1]

    yield make
    for server in servers:
        server.stop()
