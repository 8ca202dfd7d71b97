"""An endpoint refuses what comes of one channel: the others go on meanwhile, and each keeps its order."""

import contextlib
import json

from ledger import Ledger
from operated import wait_until
from talkers import Talk, Talker, join, run_for

REFUSED = "private-room-3"
ROOMS = [f"private-room-{number}" for number in range(10)]
WORDS_PER_SECOND = 50
REFUSED_S = 4
# From when something was said to when it was told, its batch window included.
DELAY_S_MAX = 2


def refuse_a_channel(handler, receiver):
    """500 for each batch that has an event of it."""
    is_refused = any(event["channel"] == REFUSED for event in handler.take(receiver, True).events)
    if is_refused:
        receiver.attempts[-1].accepted = False
    handler.answer(500 if is_refused else 200)


def test_a_refused_channel_holds_no_other(receive, operate, gather):
    receiver = receive()
    server = operate({"name": "picky", "url": receiver.url})
    crowd = gather(server)
    talkers = [Talker(crowd, room) for room in ROOMS]
    with receiver.behaving(refuse_a_channel):
        join(crowd, *talkers)
        talk = Talk(crowd, talkers, WORDS_PER_SECOND)
        run_for(crowd, REFUSED_S)
        talk.stop()
        ledger = Ledger(receiver)
        others = {word: when for it in talkers if it.channel != REFUSED for word, when in it.said}
        wait_until(lambda: not ledger.read().missing(others), lambda: f"{len(ledger.missing(others))} of {len(others)} words", 10)
        delays = [ledger.came[ledger.words[word]] - when for word, when in others.items()]
        assert max(delays) < DELAY_S_MAX, sorted(delays)[-10:]
    said = talk.said()
    wait_until(lambda: not ledger.read().missing(said), lambda: f"{len(ledger.missing(said))} words")
    print(sorted(delays)[-10:], len(receiver.attempts), ledger.repeated)
