"""Webhooks of a running server: the SDK for Python believes each as it was sent, and none with one byte that differs."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pusher
import pytest

from connection import COUNT, WAIT_S_MAX, Connection
from server import APP_ID, HOST, KEY, SECRET, Server


@pytest.fixture(scope="module")
def webhooks(tmp_path_factory):
    """What a member of a presence channel and what it says bring about, as (key, signature, body)."""
    taken = []
    endpoint = HTTPServer((HOST, 0), taker(taken))
    threading.Thread(target=endpoint.serve_forever, daemon=True).start()
    url = f"http://{HOST}:{endpoint.server_port}/hooks"
    server = Server(arguments=["--data-dir", str(tmp_path_factory.mktemp("hooks") / "data"), "--webhook", url])
    try:
        talk(server)
        wait_for_events(taken, 3)
        yield taken
    finally:
        server.stop()
        endpoint.shutdown()
        endpoint.server_close()


@pytest.fixture
def validates():
    """A fresh SDK's check."""
    return pusher.Pusher(APP_ID, KEY, SECRET, ssl=False, host=HOST).validate_webhook


def test_a_webhook_is_valid_as_it_was_sent(webhooks, validates):
    events = [event for key, signature, body in webhooks for event in validates(key, signature, body)["events"]]
    assert [event["name"] for event in events] == ["channel_occupied", "member_added", "client_event"]
    said = events[-1]
    assert said["data"] == '{"text": "«ü»"}' and said["user_id"] == "ann", said
    assert int(said["id"]) > int(events[0]["id"]) > 0


def test_a_webhook_is_invalid_after_one_flipped_byte(webhooks, validates):
    for key, signature, body in webhooks:
        for at in range(len(signature)):
            assert validates(key, flip(signature, at), body) is None, f"byte {at} of the signature"
        for at in range(len(key)):
            assert validates(flip(key, at), signature, body) is None, f"byte {at} of the key"
        for at in range(len(body)):
            assert validates(key, signature, flip(body, at)) is None, f"character {at} of the body"


def test_an_endpoint_that_asks_for_it_is_told_how_many_are_subscribed(tmp_path, validates):
    taken = []
    endpoint = HTTPServer((HOST, 0), taker(taken))
    threading.Thread(target=endpoint.serve_forever, daemon=True).start()
    file = tmp_path / "corecast.toml"
    file.write_text(f"""
        hooks = {{ data_dir = "{tmp_path / "data"}" }}
        [[apps]]
        id = "{APP_ID}"
        key = "{KEY}"
        secret = "{SECRET}"
        [[apps.hooks]]
        url = "http://{HOST}:{endpoint.server_port}/hooks"
        events = ["subscription_count"]
    """)
    server = Server(arguments=["--config", str(file)], app=())
    try:
        signer = pusher.Pusher(APP_ID, KEY, SECRET, ssl=False, host=HOST)
        first, second = Connection(server, signer), Connection(server, signer)
        for number, connection in enumerate([first, second], 1):
            connection.subscribe("private-counted")
            told = connection.frame(COUNT, "private-counted")
            assert json.loads(told["data"]) == {"subscription_count": number}
        second.close()
        first.frame(COUNT)
        assert json.loads(first.frame(COUNT)["data"]) == {"subscription_count": 1}
        wait_for_events(taken, 3)
        events = [event for webhook in taken for event in validates(*webhook)["events"]]
        numbers = [(event["name"], event["channel"], event["subscription_count"]) for event in events]
        assert numbers == [("subscription_count", "private-counted", number) for number in (1, 2, 1)]
    finally:
        server.stop()
        endpoint.shutdown()
        endpoint.server_close()


def talk(server):
    signer = pusher.Pusher(APP_ID, KEY, SECRET, ssl=False, host=HOST)
    connection = Connection(server, signer)
    connection.subscribe("presence-room", {"user_id": "ann"})
    connection.send("client-said", '{"text": "«ü»"}', "presence-room")


def taker(taken):
    class Taker(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            taken.append((self.headers["x-pusher-key"], self.headers["x-pusher-signature"], body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            """Nothing."""

    return Taker


def wait_for_events(taken, count):
    end = time.monotonic() + WAIT_S_MAX
    while sum(body.count('"name":') for _, _, body in taken) < count:
        assert time.monotonic() < end, taken
        time.sleep(0.02)


def flip(text, at):
    return text[:at] + chr(ord(text[at]) ^ 1) + text[at + 1 :]
