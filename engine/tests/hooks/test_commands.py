"""What an operator asks on the command line, beside a running server and without one."""

import json
import subprocess

from ledger import Ledger
from operated import wait_until
from receiver import fail
from talkers import Talk, Talker, join, run_for

ROOMS = [f"private-room-{number}" for number in range(5)]
LINES = 20


def test_what_waits_is_shown_followed_and_forgotten(receive, operate, gather):
    receiver = receive()
    server = operate({"name": "backend", "url": receiver.url, "batch_ms": 20})
    crowd = gather(server)
    with receiver.behaving(fail):
        follower = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", server.binary, "hooks", "tail", "--config", str(server.config)],
            stdout=subprocess.PIPE,
            text=True,
        )
        said = say_some(crowd)
        followed = [json.loads(follower.stdout.readline()) for _ in range(LINES)]
        follower.kill()
        follower.wait()
        ids = [int(it["id"]) for it in followed]
        assert ids == sorted(set(ids)), ids
        assert "backend" in server.command("status")
        refused = subprocess.run(command(server, "reset", "--yes"), capture_output=True, text=True, check=False)
        assert refused.returncode != 0 and len(refused.stderr.splitlines()) == 1, refused
        server.kill()
    server.command("reset", "--yes")
    server.start()
    later = say_some(gather(server))
    ledger = Ledger(receiver, in_order=False)
    wait_until(lambda: not ledger.read().missing(later), lambda: f"{len(ledger.missing(later))} words")
    assert ledger.missing(said) == list(said), "what was forgotten was told"
    newest = max(ids)
    assert all(ledger.words[word] > newest for word in later), "ids begin anew after a reset"


def test_events_are_delivered_from_the_stream_by_another_process(receive, operate, gather, redis, ends):
    store, receiver = redis(), receive()
    server = operate(
        {"name": "backend", "url": receiver.url, "batch_ms": 20},
        hooks={"redis_url": store.url, "consumers": 0, "requeue_interval_s": 1, "claim_interval_s": 1},
    )
    said = say_some(gather(server))
    assert not receiver.attempts, "the server delivers itself"
    worker = Worker(command(server, "work", "--data-dir", str(server.directory / "elsewhere")))
    ends.append(worker)
    ledger = Ledger(receiver)
    wait_until(lambda: not ledger.read().missing(said), lambda: f"{len(ledger.missing(said))} words")
    wait_until(lambda: server.total("corecast_hooks_journal_rows") == 0, "the journal to be empty")
    worker.child.terminate()
    assert worker.child.wait(timeout=10) == 0


def test_an_operator_is_told_what_is_wrong_with_an_endpoint(receive, operate, gather):
    """The line of the log, `status`, `dlq list`, and a replay that delivers nothing."""
    receiver = receive()
    url = receiver.url.replace("://", "://hook:hunter2@")
    server = operate({"name": "backend", "url": url, "batch_ms": 20}, hooks={"give_up_after_s": 1})
    with receiver.behaving(fail):
        say_some(gather(server))
        wait_until(lambda: server.total("corecast_hooks_dead_letters_total") > 0, "a dead letter")
        wait_until(lambda: "EVENTS WERE GIVEN UP" in server.output(), lambda: server.output())
        lines = [line for line in server.output().splitlines() if "EVENTS WERE GIVEN UP" in line]
        assert len(lines) == 1 and "backend" in lines[0] and "500" in lines[0] and "dlq list" in lines[0], lines
        status = server.command("status")
        assert "hook:***@" in status and "hunter2" not in status, status
        assert "fails since 20" in status and "answered 500" in status, status
        listed = server.command("dlq", "list")
        assert "private-room-" in listed and "the database is down" in listed, listed
        assert "the database is down" not in server.output(), "what a receiver answers may repeat what it was sent"
        number = listed.splitlines()[1].split()[0]
        replayed = run(server, "dlq", "replay", "--id", number)
        assert replayed.returncode == 1 and "0 delivered" in replayed.stdout, replayed
        assert "none was delivered" in replayed.stderr and "500" in replayed.stderr, replayed
    refused = run(server, "reset", "--yes")
    assert refused.returncode == 1 and f"process {server.process.pid}" in refused.stderr, refused
    assert "stop it with SIGTERM, run this again" in refused.stderr, refused
    assert "dead letters are left" in server.command("dlq", "replay", "--all")
    assert "accepts events" in eventually(lambda: server.command("status"), lambda it: "fails since" not in it)


def test_the_journal_is_shown_although_redis_is_away(receive, operate, gather, redis):
    store, receiver = redis(), receive()
    server = operate({"name": "backend", "url": receiver.url, "batch_ms": 20}, hooks={"redis_url": store.url})
    said = say_some(gather(server))
    ledger = Ledger(receiver)
    wait_until(lambda: not ledger.read().missing(said), lambda: f"{len(ledger.missing(said))} words")
    row = lambda text: next(line.split() for line in text.splitlines() if line.startswith("backend") and " stream " in line)
    assert row(eventually(lambda: server.command("status"), lambda it: " stream " in it))[2].isdigit()
    store.kill()
    status = run(server, "status")
    assert status.returncode == 1 and "events that wait" in status.stdout, status
    assert "no connection to Redis" in status.stdout and "no connection to Redis" in status.stderr, status


class Worker:
    """A process that ends with its test."""

    def __init__(self, words):
        self.child = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *words], stdin=subprocess.DEVNULL)

    def close(self):
        self.child.kill()
        self.child.wait()


def eventually(ask, holds):
    """The first answer of which this holds."""
    answers = []

    def look():
        answers.append(ask())
        return holds(answers[-1])

    wait_until(look, lambda: answers[-1])
    return answers[-1]


def run(server, *words):
    return subprocess.run(command(server, *words), capture_output=True, text=True, check=False, timeout=60)


def command(server, *words):
    return [server.binary, "hooks", *words, "--config", str(server.config)]


def say_some(crowd):
    talkers = [Talker(crowd, room) for room in ROOMS]
    join(crowd, *talkers)
    talk = Talk(crowd, talkers, per_second=200)
    run_for(crowd, 1)
    talk.stop()
    run_for(crowd, 0.2)
    return talk.said()
