"""Endpoints misbehave in every way that a back end can: nothing is lost by it, and the one beside them is not delayed.

All endpoints belong to one app and get the same events. The delay of the healthy one is from when a talker said
something to when it was told, with its batch window in it; it may grow by what a busy machine adds, never by a timeout.
"""

import contextlib
import json

import pytest

from ledger import Ledger
from measured import IS_LONG, resident_bytes
from operated import wait_until
from receiver import drip, fail, hang, make_certificates, never_end, redirect, refuse, reset
from talkers import Talk, Talker, join, run_for

FAULT_S = 60 if IS_LONG else 3
TIMEOUT_MS = 5_000 if IS_LONG else 1_000
BATCH_MS = 50
WORDS_PER_SECOND = 300
ROOMS = [f"private-room-{number}" for number in range(10)]
# Of the healthy endpoint, while the others misbehave; less than a timeout, more than a busy machine.
P99_S_MAX = 0.5
GROWTH_BYTES_MAX = 24 << 20
# A fault is over for the server when it has tried again.
HOOKS = {"retry_pause_max_s": 10 if IS_LONG else 1}
FAULTS = [refuse, hang, reset, fail, redirect, never_end, drip]


@pytest.mark.alone
def test_faults_lose_nothing_and_delay_nobody_else(receive, operate, gather, capsys):
    """All of them at once, each at an endpoint of its own."""
    sick, healthy = {it.__name__: receive() for it in FAULTS}, receive()
    endpoints = [endpoint(name, receiver) for name, receiver in sick.items()]
    server = operate(*endpoints, endpoint("healthy", healthy), hooks=HOOKS, shards=2)
    crowd = gather(server)
    talkers = [Talker(crowd, room) for room in ROOMS]
    join(crowd, *talkers)
    talk = Talk(crowd, talkers, WORDS_PER_SECOND)
    run_for(crowd, 1)
    with contextlib.ExitStack() as faults:
        for fault in FAULTS:
            faults.enter_context(sick[fault.__name__].behaving(fault))
        memory = resident_bytes(server.process.pid)
        begun = crowd.now
        run_for(crowd, FAULT_S)
        ended = crowd.now
        grown = resident_bytes(server.process.pid) - memory
    run_for(crowd, 0.5)
    talk.stop()
    said = talk.said()
    ledgers = {name: Ledger(receiver) for name, receiver in {**sick, "healthy": healthy}.items()}
    for name, ledger in ledgers.items():
        wait_until(lambda: not ledger.read().missing(said), lambda: f"{len(ledger.missing(said))} words, {name}")
    told = ledgers["healthy"]
    delays = [told.came[told.words[word]] - when for word, when in said.items() if begun <= when <= ended]
    twice = ", ".join(f"{name} {ledger.repeated}" for name, ledger in ledgers.items())
    with capsys.disabled():
        print(f"\n{summary(said, delays)}; told twice: {twice}", end="")
    assert told.repeated == 0, "the healthy endpoint was told something twice"
    assert p99(delays) <= P99_S_MAX, summary(said, delays)
    assert grown <= GROWTH_BYTES_MAX, f"{grown} bytes more while endpoints misbehave"
    assert not sick["redirect"].wandered, f"a redirect was followed: {sick['redirect'].wandered}"


def test_tls_that_is_slow_to_begin_is_trusted_by_its_authority(receive, operate, gather, tmp_path):
    authority, certificate = make_certificates(tmp_path)
    receiver = receive(certificate)
    server = operate(
        {**endpoint("slow", receiver), "timeout_ms": 5_000}, environment={"SSL_CERT_FILE": str(authority)}
    )
    said = say_some(gather(server))
    ledger = Ledger(receiver)
    wait_until(lambda: not ledger.read().missing(said), lambda: f"{len(ledger.missing(said))} words")


def test_a_certificate_of_nobody_is_not_trusted(receive, operate, gather, tmp_path):
    _, certificate = make_certificates(tmp_path)
    receiver = receive(certificate)
    server = operate({**endpoint("untrusted", receiver), "timeout_ms": 5_000})
    say_some(gather(server), seconds=2)
    assert not receiver.attempts


def test_what_nobody_takes_becomes_a_dead_letter_and_can_be_replayed(receive, operate, gather):
    receiver = receive()
    server = operate(endpoint("sick", receiver), hooks={**HOOKS, "give_up_after_s": 1})
    crowd = gather(server)
    with receiver.behaving(fail):
        said = say_some(crowd)
        died = lambda: server.total("corecast_hooks_dead_letters_total")
        wait_until(lambda: died() >= len(said), lambda: f"{len(said)} dead letters, not {died()}")
    listed = server.command("dlq", "list")
    assert "sick" in listed and "500" in listed, listed
    ledger = Ledger(receiver, in_order=False)
    later = say_some(crowd)
    wait_until(lambda: not ledger.read().missing(later), lambda: "what was said after the fault")
    assert ledger.missing(said) == list(said), "a dead letter was told without being replayed"
    server.command("dlq", "replay", "--all")
    wait_until(lambda: not ledger.read().missing(said), lambda: f"{len(ledger.missing(said))} replayed words")
    replayed = lambda: server.total("corecast_hooks_replayed_total")
    wait_until(lambda: replayed() == died(), lambda: f"{died()} letters to be done with, not {replayed()}")
    assert "sick" not in server.command("dlq", "list"), "a letter stays after it was accepted"


def test_the_headers_of_an_endpoint_and_the_form_of_pusher_are_on_every_webhook(receive, operate, gather):
    receiver = receive()
    server = operate({**endpoint("formal", receiver), "headers": {"X-Tenant": "blue"}})
    said = say_some(gather(server))
    ledger = Ledger(receiver)
    wait_until(lambda: not ledger.read().missing(said), lambda: f"{len(ledger.missing(said))} words")
    for attempt in receiver.attempts:
        assert attempt.headers["content-type"] == "application/json", attempt.headers
        assert attempt.headers["x-tenant"] == "blue", attempt.headers
        assert isinstance(json.loads(attempt.body)["time_ms"], int), attempt.body
        assert 1 <= len(attempt.events) <= 20, len(attempt.events)


def endpoint(name, receiver):
    return {"name": name, "url": receiver.url, "timeout_ms": TIMEOUT_MS, "batch_ms": BATCH_MS}


def say_some(crowd, seconds=1):
    """What was said in that time."""
    talkers = [Talker(crowd, room) for room in ROOMS]
    join(crowd, *talkers)
    talk = Talk(crowd, talkers, WORDS_PER_SECOND)
    run_for(crowd, seconds)
    talk.stop()
    assert talk.said()
    return talk.said()


def p99(delays):
    return sorted(delays)[len(delays) * 99 // 100]


def summary(said, delays):
    middle = sorted(delays)[len(delays) // 2]
    return f"{len(said)} words, none lost; beside it p50 {middle * 1_000:.0f} ms, p99 {p99(delays) * 1_000:.0f} ms"
