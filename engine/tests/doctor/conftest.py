"""A server, a Redis and a disk to look at, which end with their test. The modules beside the other Python tests serve here too."""

import sys
from pathlib import Path

import pytest

for folder in ["hooks", "load"]:
    sys.path.insert(0, str(Path(__file__).parents[1] / folder))

from disks import Disk  # noqa: E402
from measured import Measured  # noqa: E402
from streams import Redis  # noqa: E402


@pytest.fixture
def ends():
    """What is put in here is closed at the end of the test, the last one first."""
    things = []
    yield things
    for thing in reversed(things):
        thing.close()


@pytest.fixture
def redis(ends, tmp_path):
    ends.append(Redis(tmp_path / "redis"))
    return ends[-1]


@pytest.fixture
def disk(ends, tmp_path):
    ends.append(Disk(tmp_path / "disk"))
    return ends[-1]


@pytest.fixture
def server():
    server = Measured()
    yield server
    server.stop()
