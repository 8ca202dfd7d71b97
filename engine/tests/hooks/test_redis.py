"""A real redis-server between journal and endpoint, and everything that can be wrong with it while clients talk.

The server serves on, uses next to no processor, and tells everything in order once Redis is well again. `./test.sh
--long` has the clocks of real life.
"""

import pytest

from ledger import Ledger
from measured import IS_LONG
from operated import wait_until
from streams import STREAM
from talkers import Talk, Talker, join, run_for

FAULT_S = 20 if IS_LONG else 2
WORDS_PER_SECOND = 200
ROOMS = [f"private-room-{number}" for number in range(10)]
# Of one core, over the fault, with the talk in it.
PROCESSOR_RATIO_MAX = 0.10
HOOKS = {"requeue_interval_s": 1, "claim_interval_s": 1, "pending_timeout_s": 2}


class Fault:
    """What is wrong with a Redis. It is named by its class."""

    # Whether it goes on for a while, in which the server only waits.
    lasts = True

    def __init__(self, redis):
        self.redis = redis

    def begin(self):
        raise NotImplementedError

    def end(self):
        raise NotImplementedError


class Killed(Fault):
    def begin(self):
        self.redis.kill()

    def end(self):
        self.redis.start()


class RestartedEmpty(Killed):
    def begin(self):
        super().begin()
        self.redis.forget_everything()


class EmptiedAtOnce(Fault):
    """No time passes between the end of the one and the start of the other."""

    lasts = False

    def begin(self):
        self.redis.kill()
        self.redis.forget_everything()
        self.redis.start()

    def end(self):
        """It is well already."""


class Paused(Fault):
    def begin(self):
        self.redis.pause()

    def end(self):
        self.redis.go_on()


class Full(Fault):
    def begin(self):
        self.redis.ask("CONFIG", "SET", "maxmemory-policy", "noeviction")
        self.redis.ask("CONFIG", "SET", "maxmemory", "1mb")

    def end(self):
        self.redis.ask("CONFIG", "SET", "maxmemory", "0")


class KeyOfAnotherType(Fault):
    def begin(self):
        self.redis.ask("SET", STREAM, "a text")

    def end(self):
        self.redis.ask("DEL", STREAM)


class WrongPassword(Fault):
    def begin(self):
        self.redis.ask("CONFIG", "SET", "requirepass", "changed")
        self.redis.ask("CLIENT", "KILL", "TYPE", "normal", password="changed")

    def end(self):
        self.redis.ask("CONFIG", "SET", "requirepass", "", password="changed")


class ReadOnly(Fault):
    """The replica of a master that nobody reaches."""

    def begin(self):
        self.redis.ask("REPLICAOF", "127.0.0.1", "1")

    def end(self):
        self.redis.ask("REPLICAOF", "NO", "ONE")


@pytest.mark.parametrize(
    "fault", [Killed, RestartedEmpty, EmptiedAtOnce, Paused, Full, KeyOfAnotherType, WrongPassword, ReadOnly]
)
def test_a_fault_of_redis_loses_nothing(receive, operate, gather, redis, fault):
    store, receiver = redis(), receive()
    server = operate(endpoint(receiver), hooks={**HOOKS, "redis_url": store.url}, shards=2)
    crowd = gather(server)
    talkers, talk = begin_to_talk(crowd)
    run_for(crowd, 1)
    wrong = fault(store)
    wrong.begin()
    used = serve_on(server, crowd)
    wrong.end()
    run_for(crowd, 0.5)
    talk.stop()
    ledger = settle(receiver, talk.said())
    print(f"{fault.__name__}: {len(talk.said())} words, none lost, {ledger.repeated} repeated; {used:.1%} of a core")
    assert used <= PROCESSOR_RATIO_MAX or not wrong.lasts, f"{used:.0%} of a core: {server.output()}"
    wait_until(lambda: server.total("corecast_hooks_journal_rows") == 0, "the journal to be empty")


def test_a_redis_that_is_down_at_the_start_is_waited_for(receive, operate, gather, redis):
    store, receiver = redis(starts=False), receive()
    server = operate(endpoint(receiver), hooks={**HOOKS, "redis_url": store.url}, shards=2)
    crowd = gather(server)
    talkers, talk = begin_to_talk(crowd)
    used = serve_on(server, crowd)
    store.start()
    run_for(crowd, 0.5)
    talk.stop()
    settle(receiver, talk.said())
    assert used <= PROCESSOR_RATIO_MAX, f"{used:.0%} of a core: {server.output()}"


def test_what_waits_for_redis_survives_a_kill(receive, operate, gather, redis):
    store, receiver = redis(), receive()
    server = operate(endpoint(receiver), hooks={**HOOKS, "redis_url": store.url}, shards=2)
    crowd = gather(server)
    talkers, talk = begin_to_talk(crowd)
    run_for(crowd, 1)
    store.kill()
    run_for(crowd, 1)
    said = talk.said()
    talk.stop()
    run_for(crowd, 0.2)
    server.kill()
    server.start()
    store.start()
    settle(receiver, said)


def test_entries_have_the_fields_that_consumers_of_webman_read(operate, gather, redis):
    store = redis()
    hooks = {**HOOKS, "redis_url": store.url, "deliver": False, "stream": "workbunny:webman-push-server:webhook-stream"}
    server = operate(hooks=hooks)
    crowd = gather(server)
    talkers, talk = begin_to_talk(crowd)
    run_for(crowd, 0.5)
    talk.stop()
    length = lambda: store.ask("XLEN", hooks["stream"])
    wait_until(lambda: length() == len(ROOMS) + len(talk.said()), lambda: f"all entries, not {length()}")
    entries = [dict(zip(it[1][::2], it[1][1::2])) for it in store.ask("XRANGE", hooks["stream"], "-", "+")]
    assert {tuple(sorted(it)) for it in entries} == {("app_id", "data", "id", "name", "time")}
    assert {it["name"] for it in entries} == {"channel_occupied", "client_event"}
    ids = [int(it["id"]) for it in entries]
    assert ids == sorted(set(ids)), "ids do not increase"
    wait_until(lambda: server.total("corecast_hooks_journal_rows") == 0, "the journal to be empty")


def endpoint(receiver):
    return {"name": "backend", "url": receiver.url, "batch_ms": 20}


def begin_to_talk(crowd):
    """Nobody listens to them, so what they cost is what hooks cost."""
    talkers = [Talker(crowd, room) for room in ROOMS]
    join(crowd, *talkers)
    return talkers, Talk(crowd, talkers, WORDS_PER_SECOND)


def serve_on(server, crowd):
    """Lets time pass. Newcomers are served in it. Returns the share of a core that the server used."""
    used, begun = server.processor_s(), crowd.now
    run_for(crowd, FAULT_S)
    ratio = (server.processor_s() - used) / (crowd.now - begun)
    newcomer = Talker(crowd, "private-newcomer")
    join(crowd, newcomer)
    newcomer.hang_up()
    return ratio


def settle(receiver, said):
    ledger = Ledger(receiver)
    wait_until(lambda: not ledger.read().missing(said), lambda: f"{len(ledger.missing(said))} of {len(said)} words")
    return ledger
