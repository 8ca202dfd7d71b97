"""An endpoint refuses what comes of one channel: the others go on meanwhile, and each keeps its order."""

from ledger import Ledger
from operated import wait_until
from talkers import Talk, Talker, join, run_for

REFUSED = "private-room-3"
ROOMS = [f"private-room-{number}" for number in range(10)]
WORDS_PER_SECOND = 50
REFUSED_S = 3
# From when something was said to when it was told, with its batch window in it, on a busy machine.
DELAY_S_MAX = 2


def refuse_a_channel(handler, receiver):
    """500 for each batch that has an event of it."""
    attempt = handler.take(receiver, lambda it: all(event["channel"] != REFUSED for event in it.events))
    handler.answer(200 if attempt.accepted else 500)


def test_a_refused_channel_holds_no_other_across_a_kill(receive, operate, gather):
    receiver = receive()
    server = operate({"name": "picky", "url": receiver.url})
    crowd = gather(server)
    talkers = [Talker(crowd, room) for room in ROOMS]
    ledger = Ledger(receiver)
    with receiver.behaving(refuse_a_channel):
        join(crowd, *talkers)
        talk = Talk(crowd, talkers, WORDS_PER_SECOND)
        run_for(crowd, REFUSED_S)
        talk.stop()
        said = talk.said()
        refused = {word for it in talkers if it.channel == REFUSED for word, _ in it.said}
        others = {word: when for word, when in said.items() if word not in refused}
        wait_until(lambda: not ledger.read().missing(others), lambda: f"{len(ledger.missing(others))} words of others")
        delays = [ledger.came[ledger.words[word]] - when for word, when in others.items()]
        assert max(delays) < DELAY_S_MAX, sorted(delays)[-10:]
        assert refused and set(ledger.missing(said)) == refused
        assert ledger.repeated == 0, "another channel was told something twice"
        assert server.total("corecast_hooks_batches_split_total") > 0
        assert server.total("corecast_hooks_batches_retrying") == 1
        server.kill()
        server.start()
    wait_until(lambda: not ledger.read().missing(said), lambda: f"{len(ledger.missing(said))} words after the kill")
