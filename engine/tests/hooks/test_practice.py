"""What Standard Webhooks recommends: signatures that rotate, retries over a day, an end of retries, disabled endpoints."""

import base64
import json
import urllib.request

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from measured import HOST
from operated import wait_until
from receiver import fail
from talkers import Talker, join

SECRETS = [f"whsec_{base64.b64encode(text * 24).decode()}" for text in (b"n", b"o")]
# The first of the pauses of `retry = "day"` is 5 s; the second is minutes.
DAY_PAUSE_S = 5
RETRY_AFTER_S = 3
TOKEN = "a-token-of-the-tests"


def gone(handler, receiver):
    handler.take(receiver, False)
    handler.answer(410)


def abort(handler, receiver):
    handler.take(receiver, False)
    handler.answer(500, **{"webhook-delivery": "abort-message"})


def later(handler, receiver):
    handler.take(receiver, False)
    handler.answer(503, **{"Retry-After": str(RETRY_AFTER_S)})


def occupy(crowd, channel):
    """One event, channel_occupied."""
    talker = Talker(crowd, channel)
    join(crowd, talker)
    return talker


def channels(receiver):
    return {event["channel"] for _, event in receiver.events()}


class Console:
    """The calls behind the console, with its token."""

    def __init__(self, server):
        self.server = server

    def endpoint(self):
        [endpoint] = self.get("hooks")["endpoints"]
        return endpoint

    def get(self, path):
        return self._call(path)

    def post(self, path, **body):
        return self._call(path, json.dumps(body).encode())

    def _call(self, path, body=None):
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"http://{HOST}:{self.server.admin}/console/{path}", body, headers)
        with urllib.request.urlopen(request, timeout=15) as answer:
            return json.load(answer)


def test_the_standard_library_verifies_each_secret_of_a_rotation(receive, operate, gather):
    receiver = receive()
    server = operate({"url": receiver.url, "format": "standard", "secrets": SECRETS})
    with receiver.behaving(fail):
        occupy(gather(server), "room")
        wait_until(lambda: receiver.attempts, "a webhook")
    wait_until(lambda: channels(receiver) == {"room"}, "the retry")
    assert len({attempt.headers["webhook-id"] for attempt in receiver.attempts}) == 1, "a retry has another id"
    for attempt in receiver.attempts:
        for secret in SECRETS:
            told = Webhook(secret).verify(attempt.body, attempt.headers)
            assert [event["name"] for event in told["events"]] == ["channel_occupied"]
        first, second = attempt.headers["webhook-signature"].split(" ")
        assert Webhook(SECRETS[0]).verify(attempt.body, {**attempt.headers, "webhook-signature": first})
        assert Webhook(SECRETS[1]).verify(attempt.body, {**attempt.headers, "webhook-signature": second})
        with pytest.raises(WebhookVerificationError):
            Webhook(SECRETS[0]).verify(attempt.body + b" ", attempt.headers)
        assert "x-pusher-signature" not in attempt.headers


def test_an_endpoint_ends_the_retries_of_a_batch(receive, operate, gather):
    leaver, aborter, beside = receive(), receive(), receive()
    server = operate(*({"name": name, "url": it.url} for name, it in [("l", leaver), ("a", aborter), ("b", beside)]))
    crowd = gather(server)
    with leaver.behaving(gone), aborter.behaving(abort):
        occupy(crowd, "first")
        wait_until(lambda: server.total("corecast_hooks_dead_letters_total") == 2, "two dead letters")
    occupy(crowd, "second")
    for receiver in (leaver, aborter, beside):
        wait_until(lambda it=receiver: "second" in channels(it), "what came later")
    assert (len(leaver.attempts), len(aborter.attempts)) == (2, 2), "it was tried again"
    listed = server.command("dlq", "list")
    assert "410 Gone" in listed and "abort-message" in listed, listed
    server.command("dlq", "replay", "--all")
    for receiver in (leaver, aborter):
        wait_until(lambda it=receiver: "first" in channels(it), "the replayed event")


def test_an_endpoint_says_when_it_is_tried_again(receive, operate, gather):
    receiver = receive()
    crowd = gather(operate({"url": receiver.url, "batch_ms": 10}))
    with receiver.behaving(later):
        occupy(crowd, "room")
        wait_until(lambda: receiver.attempts, "the first try")
    wait_until(lambda: channels(receiver) == {"room"}, "the second try")
    first, second = (attempt.came for attempt in receiver.attempts)
    # Deliveries count in whole milliseconds, from the one in which the answer came.
    assert RETRY_AFTER_S - 0.001 <= second - first < RETRY_AFTER_S + 5, second - first


def test_retries_over_a_day_begin_after_five_seconds(receive, operate, gather):
    receiver = receive()
    server = operate({"url": receiver.url, "retry": "day", "batch_ms": 10})
    with receiver.behaving(fail):
        occupy(gather(server), "room")
        wait_until(lambda: len(receiver.attempts) == 2, "the second try", 20)
    first, second = (attempt.came for attempt in receiver.attempts)
    assert second - first > DAY_PAUSE_S * 0.9, second - first


def test_an_endpoint_that_fails_for_long_is_disabled_until_it_is_enabled(receive, operate, gather):
    sick, beside = receive(), receive()
    endpoints = {"name": "sick", "url": sick.url, "disable_after_s": 1}, {"name": "beside", "url": beside.url}
    server = operate(*endpoints, hooks={"retry_pause_max_s": 1})
    disabled = lambda: server.total("corecast_hooks_endpoint_disabled")
    with sick.behaving(fail):
        occupy(gather(server), "first")
        wait_until(lambda: disabled() == 1, "the endpoint to be disabled")
    assert "ENDPOINT DISABLED" in server.output() and "500" in server.output()
    tried = len(sick.attempts)
    server.end()
    server.start()
    crowd = gather(server)
    occupy(crowd, "second")
    wait_until(lambda: "second" in channels(beside), "the endpoint beside it")
    wait_until(lambda: "second" in server.command("dlq", "list", "--endpoint", "sick"), "its dead letter")
    assert disabled() == 1 and len(sick.attempts) == tried, "a restart enables it"
    assert "disabled since" in server.command("status")
    assert "is enabled" in server.command("enable", "sick")
    wait_until(lambda: disabled() == 0, "the endpoint to be enabled")
    occupy(crowd, "third")
    wait_until(lambda: "third" in channels(sick), "what comes later")
    server.command("dlq", "replay", "--endpoint", "sick")
    wait_until(lambda: channels(sick) >= {"first", "second", "third"}, lambda: channels(sick))


def test_the_console_s_calls_enable_an_endpoint_and_replay_its_dead_letters(receive, operate, gather, monkeypatch):
    monkeypatch.setenv("CORECAST_ADMIN_TOKEN", TOKEN)
    sick = receive()
    server = operate({"name": "sick", "url": sick.url, "disable_after_s": 1}, hooks={"retry_pause_max_s": 1})
    console = Console(server)
    with sick.behaving(fail):
        crowd = gather(server)
        occupy(crowd, "first")
        wait_until(lambda: console.endpoint()["disabled"], "the endpoint to be disabled")
    occupy(crowd, "second")
    wait_until(lambda: console.endpoint()["dead_letters"] == 2, console.endpoint)
    assert "500" in console.endpoint()["reason"]
    letters = console.get("dead_letters?endpoint=sick")["letters"]
    assert [letter["channel"] for letter in letters] == ["first", "second"]
    assert console.post("enable", endpoint="sick") == {}
    wait_until(lambda: server.total("corecast_hooks_endpoint_disabled") == 0, "the endpoint to be enabled")
    assert not console.endpoint()["disabled"]
    occupy(crowd, "third")
    wait_until(lambda: channels(sick) == {"third"}, lambda: channels(sick))
    assert console.post("replay", endpoint="sick", ids=[letters[1]["id"]]) == {"replayed": 1}
    wait_until(lambda: channels(sick) == {"second", "third"}, lambda: channels(sick))
    assert console.post("replay", endpoint="sick") == {"replayed": 1}
    wait_until(lambda: channels(sick) == {"first", "second", "third"}, lambda: channels(sick))
    wait_until(lambda: console.endpoint()["dead_letters"] == 0, console.endpoint)
    assert server.output().count("an operator, from 127.0.0.1:") == 3, server.output()
