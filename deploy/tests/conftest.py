"""What the tests of packages share. The modules beside the other Python tests serve here too."""

import sys
from pathlib import Path

import pytest

TREE = Path(__file__).parents[2]
for folder in ("sdk/python", "load", "hooks", "cluster", "doctor"):
    sys.path.insert(0, str(TREE / "engine/tests" / folder))


@pytest.fixture
def ends():
    """What is put in here is closed at the end of the test, the last one first."""
    things = []
    yield things
    for thing in reversed(things):
        thing.close()
