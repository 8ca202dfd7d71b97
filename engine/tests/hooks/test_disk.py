"""A data directory without room, or that cannot be written, at the start or later: the server says so once, serves on, and
tells again when it can. What is dropped meanwhile is counted to the last word; edges are not.
"""

import contextlib
import subprocess

import pytest

from disks import Disk, FileSystem
from ledger import Ledger
from operated import wait_until
from talkers import Talk, Talker, join, run_for

ROOMS = [f"private-room-{number}" for number in range(10)]
WORDS_PER_SECOND = 1_000
FAULT_S = 1
GRACE_MS = 500
BLOCKED = "corecast_hooks_journal_blocked"
# After so much nothing is tried any more, and nothing is on its way.
REST_S = 0.2


@pytest.fixture
def mounted(ends, tmp_path):
    def make(kind):
        ends.append(kind(tmp_path / "disk"))
        return ends[-1]

    return make


class Full:
    """There is next to no room."""

    kind = Disk

    def begin(self, disk):
        disk.fill(64 << 10)

    def end(self, disk):
        disk.make_room()


class Unchangeable:
    """Every write fails, and nothing else does. A disk with open files cannot be made read-only."""

    kind = FileSystem

    def begin(self, disk):
        disk.freeze()

    def end(self, disk):
        disk.thaw()


@pytest.mark.parametrize("fault", [Full(), Unchangeable()], ids=lambda it: type(it).__name__)
def test_a_disk_that_cannot_be_written_is_waited_for(receive, operate, gather, mounted, fault):
    receiver, disk = receive(), mounted(fault.kind)
    server = operate(endpoint(receiver), hooks={"data_dir": str(disk.data)})
    crowd = gather(server)
    talkers = [Talker(crowd, room) for room in ROOMS]
    join(crowd, *talkers)
    with contextlib.ExitStack() as broken:
        before = say(crowd, talkers, 0.5)
        fault.begin(disk)
        broken.callback(fault.end, disk)
        say(crowd, talkers, FAULT_S)
        newcomer = Talker(crowd, "private-newcomer")
        join(crowd, newcomer)
        wait_until(lambda: server.total(BLOCKED) == 1, "the gauge to rise")
        wait_until(lambda: server.total("corecast_hooks_journal_failures_total") > 1, "another try")
    wait_until(lambda: server.total(BLOCKED) == 0, "the gauge to fall")
    after = say(crowd, talkers, 0.5)
    told = settle(receiver, {**before, **after})
    # An edge is never lost, however long it lasted.
    wait_until(lambda: ("private-newcomer", None) in told.read().open_topics(), "the newcomer's channel to be told")
    check_drops(server, told, talkers)
    said_once(server, "cannot be written", "is written again")


class Missing:
    """There is no directory, and none can be made."""

    def begin(self, disk):
        disk.remount("ro")

    def end(self, disk):
        disk.remount("rw")


class ReadOnly(Missing):
    """The directory is there, and what another server has left in it."""


class FullAtOnce(Full):
    """There is no room at all."""

    def begin(self, disk):
        disk.fill(0)


@pytest.mark.parametrize("fault", [Missing(), ReadOnly(), FullAtOnce()], ids=lambda it: type(it).__name__)
def test_a_directory_that_cannot_be_written_at_the_start_is_waited_for(
    receive, operate, gather, mounted, fault
):
    receiver, disk = receive(), mounted(Disk)
    hooks = {"data_dir": str(disk.data), "grace_ms": GRACE_MS}
    if isinstance(fault, ReadOnly):
        leave_something(receiver, operate, gather, hooks)
    fault.begin(disk)
    server = operate(endpoint(receiver), hooks=hooks, shards=2)
    with contextlib.ExitStack() as broken:
        broken.callback(fault.end, disk)
        crowd = gather(server)
        talkers = [Talker(crowd, room) for room in ROOMS]
        listener = Talker(crowd, ROOMS[0])
        join(crowd, listener, *talkers)
        say(crowd, talkers, FAULT_S)
        crowd.run_until(lambda: listener.seen(), 10, "somebody to be heard")
        assert server.total(BLOCKED) == 1 and server.total("corecast_hooks_journal_failures_total") > 1
        assert str(disk.data) in server.output(), server.output()
        assert "warning" in check(server).stderr, "the check of the configuration found nothing"
    wait_until(lambda: server.total(BLOCKED) == 0, "the gauge to fall", 6)
    run_for(crowd, REST_S)
    after = say(crowd, talkers, 0.5)
    told = settle(receiver, after)
    here = {(room, None) for room in ROOMS}
    wait_until(lambda: told.read().open_topics() == here, lambda: f"{here}, not {told.open_topics()}")
    check_drops(server, told, talkers)
    said_once(server, "is tried again", "the journal is open")


def test_a_file_system_that_fails_is_left_in_order_and_taken_up_again(receive, operate, gather, mounted):
    receiver, disk = receive(), mounted(FileSystem)
    # What the kernel had not written is gone with the file system, as with the power.
    server = operate(endpoint(receiver), hooks={"data_dir": str(disk.data), "durability": "power", "grace_ms": GRACE_MS})
    crowd = gather(server)
    talkers = [Talker(crowd, room) for room in ROOMS]
    join(crowd, *talkers)
    said = say(crowd, talkers, 0.5)
    ledger = settle(receiver, said)
    disk.fail()
    say(crowd, talkers, FAULT_S / 2)
    wait_until(lambda: server.total(BLOCKED) == 1, "the gauge to rise")
    newcomer = Talker(crowd, "private-newcomer")
    join(crowd, newcomer)
    server.end()
    disk.repair()
    server.start()
    wait_until(lambda: not ledger.read().open_topics(), lambda: f"{ledger.open_topics()} to be closed")
    crowd = gather(server)
    talkers = [Talker(crowd, room) for room in ROOMS]
    join(crowd, *talkers)
    later = say(crowd, talkers, 0.5)
    wait_until(lambda: not ledger.read().missing(later), lambda: f"{len(ledger.missing(later))} words")


def test_a_second_server_on_the_same_directory_says_so_and_ends(receive, operate, tmp_path):
    receiver = receive()
    first = operate(endpoint(receiver))
    elsewhere = tmp_path / "second"
    elsewhere.mkdir()
    refused = refusal(operate, endpoint(receiver), directory=elsewhere, hooks={"data_dir": first.hooks["data_dir"]})
    assert len(refused) == 1 and first.hooks["data_dir"] in refused[0], refused


@pytest.mark.parametrize("path", ["file", "file/data"])
def test_a_file_where_the_directory_should_be_is_refused(receive, operate, tmp_path, path):
    (tmp_path / "file").write_text("mine")
    refused = refusal(operate, endpoint(receive()), hooks={"data_dir": str(tmp_path / path)})
    assert len(refused) == 1 and "not a directory" in refused[0].lower() and str(tmp_path / path) in refused[0], refused


def test_without_an_endpoint_there_is_no_directory(operate, tmp_path):
    operate()
    assert not (tmp_path / "data").exists()


def test_the_check_of_a_configuration_makes_nothing(receive, operate, tmp_path):
    server = operate(endpoint(receive()))
    server.kill()
    text = server.config.read_text().replace(server.hooks["data_dir"], str(tmp_path / "new" / "data"))
    server.config.write_text(text)
    assert not check(server).stderr and not (tmp_path / "new").exists()


def leave_something(receiver, operate, gather, hooks):
    """A channel that nobody comes back to and one that is taken up again, both told as occupied."""
    server = operate(endpoint(receiver), hooks=hooks)
    crowd = gather(server)
    join(crowd, Talker(crowd, "private-left"), Talker(crowd, ROOMS[0]))
    ledger = Ledger(receiver)
    wait_until(lambda: len(ledger.read().open_topics()) == 2, "both channels to be told")
    server.kill()


def check(server):
    asked = [server.binary, "check", "--config", str(server.config)]
    done = subprocess.run(asked, capture_output=True, text=True, check=True)
    assert "good" in done.stdout, done
    return done


def refusal(operate, *endpoints, **how):
    """What a server says that does not start."""
    with pytest.raises(RuntimeError) as refused:
        operate(*endpoints, **how)
    return [line for line in str(refused.value).splitlines()[1:] if "listening" not in line]


def said_once(server, *texts):
    lines = server.output().splitlines()
    for text in texts:
        assert sum(text in line for line in lines) == 1, f"{text!r} is not on one line:\n{server.output()}"


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


def check_drops(server, told, talkers):
    """Each word was told or counted."""
    said = [word for talker in talkers for word, _ in talker.said]
    missing, dropped = len(told.missing(said)), server.total("corecast_hooks_dropped_total")
    print(f"{len(said)} words said, {missing} of them dropped, {len(told.words)} told in order")
    assert missing == dropped, f"{missing} words were not told, and {dropped} counted as dropped"


def endpoint(receiver):
    return {"name": "backend", "url": receiver.url, "batch_ms": 20}
