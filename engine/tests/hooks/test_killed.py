"""kill -9 at random moments: what a client had seen 100 ms before is told, once or more, under one id, in order.

Each round has talkers on private and presence channels, subscribers that come and go, and an endpoint that in some rounds
refuses everything until the server is back. After the kill some channels are taken up again within the grace, which must
stay silent, and the others are left, which must be told. 10 rounds; 100 by `./test.sh --long`.
"""

import contextlib
import random

import pytest

from ledger import Ledger
from measured import IS_LONG
from operated import wait_until
from receiver import accept, fail, hang, refuse
from talkers import Talk, Talker, join, run_for

ROUNDS = 100 if IS_LONG else 10
WORDS_PER_SECOND = 2_500
WORDS_MIN = 1_000
SEEN_BEFORE_KILL_S = 0.1
GRACE_MS = 800
SEED = 13
ROOMS = [f"private-room-{number}" for number in range(6)] + [f"presence-room-{number}" for number in range(3)]
BEHAVIOURS = [accept, fail, hang, refuse]


@pytest.mark.parametrize("shards", [2])
def test_what_was_seen_before_a_kill_is_told_after_it(receive, operate, gather, shards):
    chance = random.Random(SEED)
    receiver = receive()
    endpoint = {"name": "backend", "url": receiver.url, "batch_ms": 20}
    server = operate(endpoint, hooks={"grace_ms": GRACE_MS, "retry_pause_max_s": 1}, shards=shards)
    ledger, returned = Ledger(receiver), []
    for number in range(ROUNDS):
        one = Round(number, chance, receiver, server, gather(server))
        one.talk(returned)
        returned = one.kill()
        one.settle(ledger)
        print(f"{one}; {len(ledger.events)} events in all, {ledger.repeated} repeated")
    for client in returned:
        client.hang_up()
    wait_until(lambda: not ledger.read().open_topics(), lambda: f"{ledger.open_topics()} to be closed")
    server.end()


class Round:
    """A crowd, its talk, the kill, and what must have been told after it."""

    def __init__(self, number, chance, receiver, server, crowd):
        self.number, self.chance, self.receiver, self.server, self.crowd = number, chance, receiver, server, crowd
        self.fault = contextlib.ExitStack()
        self.seen, self.visitors = {}, []

    def talk(self, returned):
        """For a while, of which nobody knows the end."""
        self.stayed = topics_of(returned)
        self.talkers = [self.enter(room, f"speaker-{room[-1]}") for room in ROOMS]
        self.listeners = [self.enter(room, f"listener-{room[-1]}") for room in ROOMS]
        join(self.crowd, *self.talkers, *self.listeners)
        for client in returned:
            client.hang_up()
        self.fault.enter_context(self.receiver.behaving(BEHAVIOURS[self.number % len(BEHAVIOURS)]))
        self.conversation = Talk(self.crowd, self.talkers, WORDS_PER_SECOND)
        self.crowd.every(0.02, self.visit)
        self.crowd.run_until(lambda: len(self.conversation.said()) >= WORDS_MIN, 30, "a thousand words")
        run_for(self.crowd, self.chance.uniform(0, 0.7))

    def enter(self, room, user):
        return Talker(self.crowd, room, user if room.startswith("presence-") else None)

    def visit(self):
        """Somebody comes and somebody goes, for as long as they talk."""
        if self.conversation.goes_on:
            place = self.chance.randrange(20)
            room = f"presence-hall-{place % 4}" if place < 12 else f"hall-{place}"
            self.visitors.append(self.enter(room, f"visitor-{place}"))
            present = [it for it in self.visitors if it.talks]
            if len(present) > 15:
                goes = self.chance.choice(present)
                self.chance.choice([goes.leave, goes.hang_up])()
        return self.conversation.goes_on

    def kill(self):
        """Returns the topics that came back within the grace: the listeners of half of the rooms."""
        killed = self.server.kill()
        self.conversation.stop()
        everybody = [*self.talkers, *self.listeners, *self.visitors]
        self.crowd.run_until(lambda: all(it.life.end for it in everybody), 20, "all to be cut off")
        before = killed - SEEN_BEFORE_KILL_S
        self.seen = {word for it in self.listeners for word, when in it.seen() if when <= before}
        self.subscribed = topics_of(it for it in everybody if it.subscribed_at() and it.subscribed_at() <= before)
        self.server.start()
        back = [self.enter(it.channel, it.user) for it in self.listeners[::2]]
        join(self.crowd, *back)
        self.fault.close()
        self.open = topics_of(back)
        return back

    def settle(self, ledger):
        """Waits until all is told that must be. A topic that was not open before was opened, under a new id."""
        newest = max(ledger.events, default=0)
        settled = lambda: not ledger.read().missing(self.seen) and ledger.open_topics() == self.open
        wait_until(settled, lambda: self.complaint(ledger))
        untold = [topic for topic in self.subscribed - self.stayed if ledger.opened.get(topic, 0) <= newest]
        assert not untold, f"subscribed before the kill and never told: {untold}"
        old = [word for word in self.conversation.said() if ledger.words.get(word, newest + 1) <= newest]
        assert not old, f"ids do not increase over a restart: {old}"

    def complaint(self, ledger):
        missing, still = ledger.missing(self.seen), ledger.open_topics()
        return f"{self}: {len(missing)} words {sorted(missing)[:5]}, {still - self.open} to close, {self.open - still} to open"

    def __str__(self):
        said = self.conversation.said()
        return f"round {self.number}: {len(said)} words said, {len(self.seen)} of them seen before the kill"


def topics_of(clients):
    """Their channels, and themselves as members of these."""
    return {(it.channel, user) for it in clients for user in {None, it.user}}
