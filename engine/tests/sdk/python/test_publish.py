"""What the server SDK for Python publishes arrives, as it was, where it should."""

import json

import pusher
import pytest
from pusher.errors import PusherBadAuth, PusherBadRequest

from server import APP_ID, HOST, KEY, SECRET

PAYLOADS = {
    "object": {"price": 12.5, "tags": ["a", "b"], "nested": {"deep": None}},
    "list": [1, "two", None, {"three": 3}],
    "text of many scripts": {"text": "Zürich · 東京 · القاهرة · 👩‍👩‍👧‍👦 · \u2028 · \U0010ffff"},
    "control characters": {"text": 'say "hi" \\ \n\t\r\b\f\u0001\u001f'},
    "10 KiB of ASCII": {"text": "x" * 10_228},
    "10 KiB of three-byte characters": {"text": "☃" * 3_409},
}


def test_pusher_url_works_with_the_host_and_port_that_dev_prints_for_python(server, connect, monkeypatch):
    connection = connect()
    connection.subscribe("from-env")
    monkeypatch.setenv("PUSHER_URL", f"http://{KEY}:{SECRET}@{HOST}:{server.port}/apps/{APP_ID}")
    pusher.Pusher.from_env(host=HOST, port=server.port).trigger("from-env", "changed", "x")
    assert connection.frame("changed", "from-env")["data"] == "x"


@pytest.mark.parametrize("data", PAYLOADS.values(), ids=PAYLOADS.keys())
def test_object_data_arrives_as_it_was(sdk, connect, data):
    connection = connect()
    connection.subscribe("payloads")
    sdk.trigger("payloads", "changed", data)
    assert json.loads(connection.frame("changed", "payloads")["data"]) == data


@pytest.mark.parametrize("data", ["hello", "ünïcödé 東京", '{"already": "encoded"}', "12"])
def test_a_string_arrives_verbatim(sdk, connect, data):
    connection = connect()
    connection.subscribe("strings")
    sdk.trigger("strings", "changed", data)
    assert connection.frame("changed", "strings")["data"] == data


def test_an_event_to_many_channels_arrives_once_on_each(sdk, connect):
    names = [f"many-{index}" for index in range(100)]
    connection = connect()
    for name in names:
        connection.subscribe(name)
    sdk.trigger(names, "changed", {"to": "all"})
    assert sorted(connection.frame("changed")["channel"] for _ in names) == sorted(names)
    sdk.trigger(names[0], "mark", {})
    connection.frame("mark")


@pytest.mark.parametrize("channel", ["private-orders", "presence-orders", "orders"])
def test_each_kind_of_channel_delivers(sdk, connect, channel):
    connection = connect()
    connection.subscribe(channel, {"user_id": "ann"})
    sdk.trigger(channel, "changed", {"order": 7})
    assert json.loads(connection.frame("changed", channel)["data"]) == {"order": 7}


def test_batches_arrive_in_order(sdk, connect):
    connection = connect()
    connection.subscribe("batches")
    for first in range(0, 500, 10):
        batch = [{"channel": "batches", "name": "counted", "data": {"number": first + index}} for index in range(10)]
        sdk.trigger_batch(batch)
    numbers = [json.loads(connection.frame("counted", "batches")["data"])["number"] for _ in range(500)]
    assert numbers == list(range(500))


def test_the_connection_named_by_socket_id_is_left_out_and_only_it(sdk, connect):
    crowd = [connect() for _ in range(6)]
    for connection in crowd:
        connection.subscribe("excluding")
    for excluded, connection in enumerate(crowd):
        sdk.trigger("excluding", "changed", {"excluded": excluded}, connection.socket_id)
    sdk.trigger("excluding", "mark", {})
    for own, connection in enumerate(crowd):
        others = [json.loads(connection.frame("changed")["data"])["excluded"] for _ in range(5)]
        assert others == [excluded for excluded in range(6) if excluded != own]
        connection.frame("mark")


def test_a_client_event_reaches_others_and_not_its_sender(sdk, connect):
    sender, receiver = connect(), connect()
    sender.subscribe("presence-chat", {"user_id": "ann"})
    receiver.subscribe("presence-chat", {"user_id": "ann"})
    sender.send("client-typing", {"text": "hi"}, "presence-chat")
    frame = receiver.frame("client-typing", "presence-chat")
    assert json.loads(frame["data"]) == {"text": "hi"}
    assert frame["user_id"] == "ann"
    sdk.trigger("presence-chat", "mark", {})
    sender.frame("mark", "presence-chat")


def test_a_wrong_secret_or_key_is_a_bad_auth(sdk_of):
    for wrong in ({"secret": "wrong"}, {"key": "wrong"}):
        with pytest.raises(PusherBadAuth):
            sdk_of(**wrong).trigger("orders", "changed", {})


def test_a_batch_of_eleven_is_a_bad_request(sdk):
    batch = [{"channel": "long", "name": "changed", "data": {}} for _ in range(11)]
    with pytest.raises(PusherBadRequest):
        sdk.trigger_batch(batch)
