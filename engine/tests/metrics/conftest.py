"""Servers whose metrics are read, which end with their test. The modules beside the other Python tests serve here too."""

import sys
import time
import urllib.request
from pathlib import Path

import pytest

for folder in ("sdk/python", "load", "hooks"):
    sys.path.insert(0, str(Path(__file__).parents[1] / folder))

from churners import PATIENCE_S, Churner  # noqa: E402
from everything import Everything  # noqa: E402
from measured import APP_ID, HOST, Measured  # noqa: E402
from streams import Redis  # noqa: E402


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


@pytest.fixture(scope="session")
def everything(tmp_path_factory):
    """A server that has everything, after a client has come and gone."""
    directory = tmp_path_factory.mktemp("everything")
    redis = Redis(directory / "redis")
    server = Everything(directory, redis)
    try:
        client = Churner(server.port, APP_ID)
        client.subscribe("a", None)
        client.close()
        yield server
    finally:
        server.stop()
        redis.close()


@pytest.fixture(scope="session")
def scraped(everything):
    """Its scrape."""
    end = time.monotonic() + PATIENCE_S
    while True:
        with urllib.request.urlopen(f"http://{HOST}:{everything.admin}/metrics", timeout=30) as answer:
            text = answer.read().decode()
        # Only once a connection has ended its code is there.
        if "closes_total{" in text:
            return text
        assert time.monotonic() < end, text
        time.sleep(0.1)
