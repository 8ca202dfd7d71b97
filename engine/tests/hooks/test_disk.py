"""A data directory without room, or that cannot be written: the server says so, serves on, and tells again when it can."""

import contextlib
import os
import subprocess

import pytest

from ledger import Ledger
from operated import wait_until
from talkers import Talk, Talker, join, run_for

ROOMS = [f"private-room-{number}" for number in range(10)]
WORDS_PER_SECOND = 1_000
DISK_BYTES = 8 << 20
LEFT_BYTES = 64 << 10


@pytest.fixture
def disk(tmp_path):
    """A small one of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    as_root("mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=777", "none", place)
    yield place
    as_root("umount", "--lazy", place)


def test_a_full_disk_is_waited_for(receive, operate, gather, disk):
    receiver = receive()
    server = operate(endpoint(receiver), hooks={"data_dir": str(disk / "data")})
    crowd = gather(server)
    talkers = [Talker(crowd, room) for room in ROOMS]
    join(crowd, *talkers)
    with contextlib.ExitStack() as filled:
        before = say(crowd, talkers, 0.5)
        filled.callback(os.remove, fill(disk))
        say(crowd, talkers, 3)
        newcomer = Talker(crowd, "private-newcomer")
        join(crowd, newcomer)
        wait_until(lambda: server.total("corecast_hooks_journal_blocked") == 1, "the gauge to rise")
        assert "full" in server.output(), server.output()
    wait_until(lambda: server.total("corecast_hooks_journal_blocked") == 0, "the gauge to fall")
    after = say(crowd, talkers, 0.5)
    told = settle(receiver, {**before, **after})
    # An edge is never lost, however long the disk was full.
    wait_until(lambda: ("private-newcomer", None) in told.read().open_topics(), "the newcomer's channel to be told")
    server.end()


def test_a_directory_that_cannot_be_written_is_said_in_one_line(receive, operate, gather, disk):
    receiver = receive()
    as_root("mount", "-o", "remount,ro", disk)
    with pytest.raises(RuntimeError) as refused:
        operate(endpoint(receiver), hooks={"data_dir": str(disk / "data")})
    lines = str(refused.value).splitlines()[1:]
    assert str(disk / "data") in "\n".join(lines) and len(lines) <= 2, refused.value


def test_a_second_server_on_the_same_directory_says_so_and_ends(receive, operate, tmp_path):
    receiver = receive()
    first = operate(endpoint(receiver))
    elsewhere = tmp_path / "second"
    elsewhere.mkdir()
    with pytest.raises(RuntimeError) as refused:
        operate(endpoint(receiver), directory=elsewhere, hooks={"data_dir": first.hooks["data_dir"]})
    lines = [line for line in str(refused.value).splitlines()[1:] if "listening" not in line]
    assert len(lines) == 1 and first.hooks["data_dir"] in lines[0], refused.value
    first.end()


def test_without_an_endpoint_there_is_no_directory(operate, tmp_path):
    server = operate()
    server.end()
    assert not (tmp_path / "data").exists()


def fill(disk):
    """Leaves next to no room. Returns the file that takes it."""
    name = disk / "filler"
    room = os.statvfs(disk)
    name.write_bytes(bytes(room.f_bavail * room.f_frsize - LEFT_BYTES))
    return name


def say(crowd, talkers, seconds):
    talk = Talk(crowd, talkers, WORDS_PER_SECOND)
    known = talk.said()
    run_for(crowd, seconds)
    talk.stop()
    return {word: when for word, when in talk.said().items() if word not in known}


def settle(receiver, said):
    ledger = Ledger(receiver)
    wait_until(lambda: not ledger.read().missing(said), lambda: f"{len(ledger.missing(said))} of {len(said)} words")
    return ledger


def endpoint(receiver):
    return {"name": "backend", "url": receiver.url, "batch_ms": 20}


def as_root(*words):
    sudo = [] if os.geteuid() == 0 else ["sudo"]
    subprocess.run([*sudo, *map(str, words)], check=True)
