"""A server ends while others come: nobody meets a reset, no accepted event is lost, and nobody is closed too early.

1,000 clients (5,000 by `./test.sh --long`) are closed at 500 a second while 200 more come every second and a back end
publishes on one connection. A 200 says that the event is on its way to its home shard, so a client that is closed within
that turn may miss it; but a client that is closed after another one on its shard has got it must have got it as well.
The test says about time only what the spans of crowd.py leave no doubt of, so a busy machine makes it blunt, not wrong.
"""

import contextlib
import json
import resource
import time
from collections import Counter

import pytest

from crowd import Client, Crowd, Publisher
from measured import IS_LONG, PATIENCE_S, Measured
from pace import check_rate

pytestmark = pytest.mark.alone

CLIENTS = 5_000 if IS_LONG else 1_000
RATE = 500
NEWCOMERS_PER_SECOND = 200
PUBLISHES_PER_SECOND = 40
CHANNELS = [f"drain-{number}" for number in range(10)]
# How long an event may be on its way: a turn, unless a core has no processor.
PASSING_S_MAX = 1.0
CONNECTING_MAX = 200
RESTARTING, RECONNECT = "4100 Server is restarting", "4200 Please reconnect"


class Successor(Measured):
    """A server on the port of another one."""

    def __init__(self, first, **how):
        self.first = first
        super().__init__(**how)

    def _spawn(self, port):
        super()._spawn(self.first.port)


@pytest.fixture(autouse=True)
def descriptors():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("shards", [1, 3])
def test_a_drain_resets_nobody_loses_no_event_and_keeps_its_rate(shards):
    with ending(shards, "--drain-rate", str(RATE)) as (server, crowd):
        clients = gather(crowd)
        publisher = Publisher(crowd, CHANNELS, PUBLISHES_PER_SECOND)
        crowd.run_until(lambda: len(publisher.accepted) >= 20, PATIENCE_S, "the first events")
        newcomers = keep_coming(crowd, server)
        begun = drain(server, crowd)
        ended = lambda: all(it.life.end for it in newcomers) and publisher.end
        crowd.run_until(ended, PATIENCE_S, "the last newcomers")

        ends = count(it.life for it in clients)
        assert ends == {RESTARTING: CLIENTS}, ends
        check_rate(clients, begun, RATE, shards)
        ends = count(it.life for it in newcomers)
        assert set(ends) <= {RESTARTING, "refused"}, ends
        assert publisher.end == "closed" and not publisher.refused, (publisher.end, publisher.refused)
        check_events(publisher, clients)
        print(f"newcomers: {ends}; the loop was late by {1_000 * crowd.late_s_max:.0f} ms at most")


@pytest.mark.parametrize("shards", [1, 3])
def test_every_client_finds_the_successor(shards):
    with ending(shards, "--drain-rate", str(RATE), "--takeover") as (first, crowd):
        clients = gather(crowd, comes_back=True)
        successor = Successor(first, arguments=["--takeover"], shards=shards)
        try:
            newcomers = keep_coming(crowd, first, comes_back=True)
            begun = drain(first, crowd)
            everybody = clients + newcomers
            crowd.run_until(lambda: all(it.life.subscribed for it in everybody), PATIENCE_S, "all to be back")

            lives = [life for it in everybody for life in it.lives]
            ends = count(lives)
            assert set(ends) <= {RECONNECT, RESTARTING, None}, ends
            firsts = count(it.lives[0] for it in clients)
            assert firsts == {RECONNECT: CLIENTS}, firsts
            check_rate(clients, begun, RATE, shards)
            assert successor.total("corecast_connected") == len(everybody)
            hear_once_more(crowd, everybody)
            print(f"{len(everybody)} are back; {ends}")
        finally:
            crowd.close()
            successor.stop()


@contextlib.contextmanager
def ending(shards, *arguments):
    """A server that the test ends, and the loop for its clients."""
    server = Measured(arguments=arguments, shards=shards)
    crowd = Crowd(server.port)
    try:
        yield server, crowd
    finally:
        crowd.close()
        if is_running(server):
            server.process.kill()
            server.process.wait()


def is_running(server):
    return server.process.poll() is None


def gather(crowd, **how):
    """All clients, subscribed, on each channel as many."""
    clients = []

    def next_ones():
        waiting = sum(not client.life.subscribed for client in clients)
        for number in range(len(clients), min(CLIENTS, len(clients) + CONNECTING_MAX - waiting)):
            clients.append(Client(crowd, CHANNELS[number % len(CHANNELS)], **how))
        return waiting == 0 and len(clients) == CLIENTS

    crowd.run_until(next_ones, PATIENCE_S, "all to be subscribed")
    return clients


def keep_coming(crowd, server, **how):
    """More and more clients, until the server has ended."""
    newcomers = []

    def come():
        if is_running(server):
            newcomers.append(Client(crowd, CHANNELS[0], **how))
        return is_running(server)

    crowd.every(1 / NEWCOMERS_PER_SECOND, come)
    return newcomers


def drain(server, crowd):
    """SIGTERM, and all that follows. Returns when it was sent."""
    begun = time.monotonic()
    server.process.terminate()
    crowd.run_until(lambda: not is_running(server), PATIENCE_S + 2 * CLIENTS / RATE, "the end of the server")
    assert server.process.returncode == 0, server.output()
    return begun


def count(lives):
    """How many ended how."""
    return dict(Counter(life.end for life in lives))


def check_events(publisher, clients):
    """Each client has heard the events of its channel in order, from the first one to its close. A client that misses
    an accepted one was closed before any other on its shard had it, and not long after the 200."""
    stories = [Story(client) for client in clients]
    first = {}
    for story in stories:
        for number, span in story.heard:
            key = (story.shard, number)
            first[key] = min(first.get(key, span.before), span.before)
    passing_s = 0.0
    for index, story in enumerate(stories):
        own = range(index % len(CHANNELS), publisher.sent, len(CHANNELS))
        heard = [number for number, _ in story.heard]
        assert heard == list(own[: len(heard)]), f"{story}: a gap or a repetition"
        missed = own[len(heard)] if len(heard) < len(own) else None
        if missed in publisher.accepted:
            assert first.get((story.shard, missed), story.closed.after) >= story.closed.after, f"{story}: lost {missed}"
            passing_s = max(passing_s, story.closed.after - publisher.accepted[missed].before)
    assert passing_s <= PASSING_S_MAX, f"an event was lost, {passing_s:.3f} s before a close"
    print(f"{len(publisher.accepted)} events; closes overtook 200s by {1_000 * passing_s:.1f} ms at most")


class Story:
    """What a client has heard."""

    def __init__(self, client):
        messages = list(client.life.messages())
        established, _ = messages[0]
        # The first number of a socket_id names the shard.
        self.shard = int(json.loads(established["data"])["socket_id"].split(".")[0])
        self.heard = [(int(message["data"]), span) for message, span in messages if message["event"] == "e"]
        self.closed = client.life.closed
        error, _ = messages[-1]
        assert error["event"] == "pusher:error" and error["data"]["code"] == client.life.code, error

    def __str__(self):
        return f"shard {self.shard}, closed {self.closed}, heard {self.heard}"


def hear_once_more(crowd, clients):
    """Everybody is subscribed where events come in now."""
    publisher = Publisher(crowd, CHANNELS, PUBLISHES_PER_SECOND)
    word = b'"event":"e"'
    crowd.run_until(lambda: all(word in client.life.heard for client in clients), PATIENCE_S, "an event for everybody")
    assert publisher.end is None and not publisher.refused, (publisher.end, publisher.refused)
