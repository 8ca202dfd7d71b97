"""Three nodes that serve the same apps as one."""

import json

import pytest
import websocket

from measured import HOST, KEY
from nodes import wait_until


def test_events_reach_the_subscribers_of_all_nodes_once_and_in_one_order(three):
    clients = [node.connect() for node in three for _ in range(2)]
    for client in clients:
        client.subscribe("news")
    for number in range(60):
        three[number % 3].sdk.trigger("news", "said", {"number": number})
    heard = [client.wait_for("said", "news", 60) for client in clients]
    assert all(order == heard[0] for order in heard)
    assert len(set(heard[0])) == 60


def test_the_sender_named_by_its_socket_id_hears_nothing_on_whichever_node_it_is(three):
    clients = [node.connect() for node in three]
    for client in clients:
        client.subscribe("news")
    three[1].sdk.trigger("news", "said", "not you", clients[0].socket_id)
    three[1].sdk.trigger("news", "said", "all")
    for client, count in zip(clients, (1, 2, 2)):
        client.wait_for("said", "news", count)
    assert len(clients[0].heard("said", "news")) == 1


def test_a_roster_is_one_over_all_nodes_and_each_edge_is_told_once(three):
    channel = "presence-room"
    ann, bob, again = (node.connect() for node in three)
    assert ann.subscribe(channel, "ann")["presence"]["ids"] == ["ann"]
    assert sorted(bob.subscribe(channel, "bob")["presence"]["ids"]) == ["ann", "bob"]
    assert sorted(again.subscribe(channel, "ann")["presence"]["ids"]) == ["ann", "bob"]
    ann.wait_for("pusher_internal:member_added", channel)
    ann.unsubscribe(channel)
    three[0].sdk.trigger(channel, "mark", "1")
    bob.wait_for("mark", channel)
    assert bob.joined(channel) == []
    again.unsubscribe(channel)
    wait_until(lambda: bob.joined(channel) == ["-ann"], lambda: f"ann's end: {bob.frames}")
    assert ann.joined(channel) == ["+bob"]


def test_a_client_event_reaches_the_clients_of_other_nodes(redis, start):
    nodes = [start(redis) for _ in range(2)]
    for node in nodes:
        node.wait_until_joined()
    speaker, hearer = (node.connect() for node in nodes)
    for client in (speaker, hearer):
        client.subscribe("private-talk")
    speaker.connection.send("client-said", {"word": 1}, "private-talk")
    hearer.wait_for("client-said", "private-talk")
    assert speaker.heard("client-said", "private-talk") == []


def test_a_cache_channel_is_shared(three):
    three[0].sdk.trigger("cache-state", "state", {"on": True})
    here = three[1].connect()
    here.subscribe("cache-state")
    here.wait_for("state", "cache-state")
    there = three[2].connect()
    there.subscribe("cache-state")
    there.wait_for("state", "cache-state")


def test_connections_of_an_app_have_one_limit_over_all_nodes(redis, start, monkeypatch):
    monkeypatch.setenv("CORECAST_LIMITS_CONNECTIONS_MAX", "3")
    nodes = [start(redis) for _ in range(2)]
    for node in nodes:
        node.wait_until_joined()
    for node in (nodes[0], nodes[0], nodes[1]):
        node.connect()

    def is_full(node):
        client = websocket.create_connection(f"ws://{HOST}:{node.port}/app/{KEY}?protocol=7", timeout=15)
        frame = json.loads(client.recv())
        client.close()
        return frame["event"] == "pusher:error" and frame["data"]["code"] == 4100

    for node in nodes:
        wait_until(lambda node=node: is_full(node), "the limit")
    nodes[0].clients.pop().close()
    wait_until(lambda: not is_full(nodes[1]), "a place")


def test_a_user_is_reached_and_sent_away_on_whichever_node_it_is(three):
    clients = [node.connect() for node in three[:2]]
    for client in clients:
        client.sign_in("ann")
    three[2].sdk.send_to_user("ann", "note", {"for": "ann"})
    for client in clients:
        client.wait_for("note", "#server-to-user-ann")
    three[2].sdk.terminate_user_connections("ann")
    wait_until(lambda: all(client.closed for client in clients), "both to be closed")


@pytest.mark.parametrize("shards", [2], indirect=True)
def test_a_user_is_online_while_it_is_signed_in_on_any_node(three):
    ann, bob = three[0].connect(), three[1].connect()
    ann.sign_in("ann")
    bob.sign_in("bob", ["ann", "cid"])
    wait_until(lambda: bob.watched() == ["online ann", "offline cid"], lambda: f"the first word: {bob.frames}")
    again, cid = three[2].connect(), three[2].connect()
    again.sign_in("ann")
    cid.sign_in("cid", ["bob", "ann"])
    wait_until(lambda: sorted(cid.watched()) == ["online ann", "online bob"], lambda: f"cid: {cid.frames}")
    wait_until(lambda: bob.watched()[2:] == ["online cid"], lambda: f"cid is online: {bob.frames}")
    ann.close()
    bob.close()
    wait_until(lambda: cid.watched()[2:] == ["offline bob"], lambda: f"bob has gone: {cid.frames}")
    again.close()
    wait_until(lambda: cid.watched()[3:] == ["offline ann"], lambda: f"ann has gone, too: {cid.frames}")


@pytest.mark.parametrize("shards", [2], indirect=True)
def test_subscribers_are_told_how_many_they_are_on_all_nodes(three):
    clients = [node.connect() for node in three]
    for client in clients:
        client.subscribe("crowd")
    wait_until(lambda: [it.counts.get("crowd") for it in clients] == [3] * 3, lambda: [it.counts for it in clients])
    clients[2].close()
    wait_until(lambda: [it.counts.get("crowd") for it in clients[:2]] == [2] * 2, lambda: [it.counts for it in clients])


@pytest.mark.parametrize("shards", [2], indirect=True)
def test_a_roster_has_one_bound_over_all_nodes(redis, start, monkeypatch):
    monkeypatch.setenv("CORECAST_LIMITS_ROSTER_BYTES_MAX", "1024")
    nodes = [start(redis) for _ in range(2)]
    for node in nodes:
        node.wait_until_joined()
    channel, long = "presence-room", ["user" + letter * 100 for letter in "abc"]
    here, there = nodes[0].connect(), nodes[1].connect()
    here.subscribe(channel, long[0])
    there.subscribe(channel, long[1])
    here.wait_for("pusher_internal:member_added", channel)
    late = nodes[0].connect()
    late.connection.send("pusher:subscribe", late.asking_for(channel, long[2]))
    late.wait_for("pusher:subscription_error", channel)
    again = nodes[0].connect()
    again.subscribe(channel, long[1])
    assert here.joined(channel) == ["+" + long[1]]
