"""Receivers, servers and crowds that end with their test. The modules beside the other Python tests serve here too."""

import resource
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "load"))

from crowd import Crowd  # noqa: E402
from operated import Operated  # noqa: E402
from receiver import Receiver  # noqa: E402
from streams import Redis  # noqa: E402


@pytest.fixture(autouse=True)
def descriptors():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def ends():
    """Whatever is put in here is closed at the end of the test, the last one first."""
    things = []
    yield things
    for thing in reversed(things):
        thing.close()


@pytest.fixture
def receive(ends):
    def make(*arguments):
        ends.append(Receiver(*arguments))
        return ends[-1]

    return make


@pytest.fixture
def operate(ends, tmp_path):
    def make(*endpoints, directory=tmp_path, **how):
        ends.append(Operated(directory, endpoints, **how))
        return ends[-1]

    return make


@pytest.fixture
def gather(ends):
    def make(server):
        server.crowd = Crowd(server.port)
        ends.append(server.crowd)
        return server.crowd

    return make


@pytest.fixture
def redis(ends, tmp_path):
    def make(**how):
        ends.append(Redis(tmp_path / "redis", **how))
        return ends[-1]

    return make
