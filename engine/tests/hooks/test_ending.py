"""SIGTERM and starts in order: what was not told before the end is told after the next start, and a clean restart is no
event for clients that come back."""

from ledger import Ledger
from operated import wait_until
from receiver import hang
from talkers import Talk, Talker, join, run_for

ROOMS = [f"private-room-{number}" for number in range(5)]
GRACE_MS = 1_000


def test_a_hanging_endpoint_does_not_keep_a_server_from_ending(receive, operate, gather):
    receiver = receive()
    server = operate(endpoint(receiver), hooks={"grace_ms": GRACE_MS})
    crowd = gather(server)
    with receiver.behaving(hang):
        said = say_some(crowd)
        server.end()
    ledger = Ledger(receiver)
    assert ledger.read().missing(said), "the endpoint did not hang"
    server.start()
    wait_until(lambda: not ledger.read().missing(said), lambda: f"{len(ledger.missing(said))} of {len(said)} words")
    wait_until(lambda: not ledger.read().open_topics(), lambda: f"{ledger.open_topics()} to be closed")
    server.end()


def test_what_was_said_last_is_told_before_the_end(receive, operate, gather):
    receiver = receive()
    server = operate(endpoint(receiver), hooks={"grace_ms": GRACE_MS})
    said = say_some(gather(server))
    server.end()
    missing = Ledger(receiver).read().missing(said)
    assert not missing, f"{len(missing)} of {len(said)} words were not told before the end"


def test_who_comes_back_after_a_restart_is_no_news(receive, operate, gather):
    receiver = receive()
    server = operate(endpoint(receiver), hooks={"grace_ms": 3 * GRACE_MS})
    crowd = gather(server)
    stays = [Talker(crowd, "private-stays"), Talker(crowd, "presence-stays", "ann")]
    goes = [Talker(crowd, "private-goes"), Talker(crowd, "presence-stays", "bob")]
    join(crowd, *stays, *goes)
    server.end()
    server.start()
    join(crowd, *(Talker(crowd, it.channel, it.user) for it in stays))
    ledger = Ledger(receiver)
    open_ones = {("private-stays", None), ("presence-stays", None), ("presence-stays", "ann")}
    wait_until(lambda: ledger.read().open_topics() == open_ones, lambda: f"{open_ones}, not {ledger.open_topics()}")
    names = [(it["name"], it["channel"], it.get("user_id")) for it in ledger.events.values()]
    assert len(names) == len(set(names)), f"somebody came or went twice: {names}"
    server.end()


def test_a_return_within_the_grace_is_no_news(receive, operate, gather):
    receiver = receive()
    server = operate(endpoint(receiver), hooks={"grace_ms": GRACE_MS})
    crowd = gather(server)
    for _ in range(3):
        client = Talker(crowd, "presence-room", "ann")
        join(crowd, client)
        client.hang_up()
        run_for(crowd, GRACE_MS / 4_000)
    ledger = Ledger(receiver)
    run_for(crowd, GRACE_MS / 1_000)
    wait_until(lambda: len(ledger.read().events) == 4, lambda: f"four events, not {ledger.events}")
    told = [it["name"] for _, it in sorted(ledger.events.items())]
    assert told == ["channel_occupied", "member_added", "member_removed", "channel_vacated"], told
    server.end()


def endpoint(receiver):
    return {"name": "backend", "url": receiver.url, "batch_ms": 20, "timeout_ms": 30_000}


def say_some(crowd):
    talkers = [Talker(crowd, room) for room in ROOMS]
    join(crowd, *talkers)
    talk = Talk(crowd, talkers, per_second=500)
    run_for(crowd, 1)
    talk.stop()
    run_for(crowd, 0.2)
    return talk.said()
