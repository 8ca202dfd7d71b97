"""What comes between nodes and their Redis, or ends them."""

import time

import pytest

from nodes import LEASE_S, wait_until


@pytest.fixture
def pair(redis, start, before):
    """Two nodes, the first behind a proxy, each with a client in a channel with members."""
    proxy = before(redis)
    nodes = [start(proxy), start(redis)]
    for node in nodes:
        node.wait_until_joined()
    clients = [node.connect() for node in nodes]
    for client, user in zip(clients, ("ann", "bob")):
        client.subscribe("presence-room", user)
    wait_until(lambda: clients[0].joined("presence-room") == ["+bob"], "bob")
    return proxy, nodes, clients


def test_a_connection_that_is_cut_loses_nothing(pair):
    proxy, nodes, clients = pair
    for number in range(50):
        nodes[number % 2].sdk.trigger("presence-room", "said", str(number))
        if number % 10 == 5:
            proxy.cut()
    heard = [client.wait_for("said", "presence-room", 50) for client in clients]
    assert heard[0] == heard[1] and len(set(heard[0])) == 50
    assert nodes[0].sessions_lost() == 0 and clients[1].joined("presence-room") == []


def test_a_redis_that_carries_nothing_more_leaves_a_node_alone_which_says_so_and_comes_back(pair):
    proxy, nodes, clients = pair
    assert nodes[0].degraded() is None
    began = time.monotonic()
    proxy.stall()
    wait_until(lambda: nodes[0].degraded(), "/ready to say so")
    assert time.monotonic() - began < LEASE_S + 2
    [what] = nodes[0].degraded()
    assert what["server"] in proxy.url and what["since_ms"] > 0 and "lost" in what
    assert nodes[0].live() and nodes[1].degraded() is None
    nodes[0].sdk.trigger("presence-room", "said", "alone")
    clients[0].wait_for("said", "presence-room")
    late = nodes[0].connect()
    late.subscribe("news")
    wait_until(lambda: clients[1].joined("presence-room") == ["-ann"], "ann's end on the other node")
    proxy.cut()
    proxy.go_on()
    wait_until(lambda: nodes[0].degraded() is None, "/ready to say nothing more")
    wait_until(lambda: clients[1].joined("presence-room") == ["-ann", "+ann"], "ann's return")
    nodes[1].sdk.trigger("presence-room", "said", "together")
    for client, count in zip(clients, (2, 1)):
        client.wait_for("said", "presence-room", count)
    assert all(client.closed is None for client in clients), "clients stay"
    assert clients[0].joined("presence-room") == ["+bob"]


def test_a_killed_node_s_members_leave_within_the_lease(pair):
    _, nodes, clients = pair
    began = time.monotonic()
    nodes[0].kill()
    wait_until(lambda: clients[1].joined("presence-room") == ["-ann"], "ann's end")
    assert time.monotonic() - began < LEASE_S + 2


def test_a_node_that_is_stopped_beyond_its_lease_comes_back_as_a_new_one_with_its_clients(pair):
    _, nodes, clients = pair
    nodes[0].pause()
    wait_until(lambda: clients[1].joined("presence-room") == ["-ann"], "ann's end")
    nodes[0].go_on()
    wait_until(lambda: clients[1].joined("presence-room") == ["-ann", "+ann"], "ann's return")
    nodes[1].sdk.trigger("presence-room", "said", "again")
    clients[0].wait_for("said", "presence-room")
    assert clients[0].closed is None and clients[0].joined("presence-room") == ["+bob"]


@pytest.mark.parametrize("forgets", [False, True])
def test_a_redis_that_is_killed_and_comes_back_makes_nobody_leave(pair, redis, forgets):
    _, nodes, clients = pair
    redis.kill()
    for node in nodes:
        wait_until(node.degraded, "/ready to say so")
    nodes[0].sdk.trigger("presence-room", "said", "alone")
    clients[0].wait_for("said", "presence-room")
    if forgets:
        redis.forget_everything()
    redis.start()
    for node in nodes:
        wait_until(lambda node=node: node.degraded() is None, "/ready to say nothing more")
    # Both are in it again when each hears the other.
    for count, (node, client) in enumerate(zip(nodes, reversed(clients)), 1):
        def heard(node=node, client=client):
            node.sdk.trigger("presence-room", "mark", "x")
            return client.heard("mark", "presence-room")

        wait_until(heard, "the other node's events")
    assert all(client.closed is None for client in clients)
    if not forgets:
        assert not any("-" in edge for client in clients for edge in client.joined("presence-room"))


def test_a_redis_that_hangs_for_a_moment_loses_nothing(pair, redis):
    _, nodes, clients = pair
    redis.pause()
    nodes[0].sdk.trigger("presence-room", "said", "meanwhile")
    time.sleep(0.5)
    redis.go_on()
    for client in clients:
        client.wait_for("said", "presence-room")
    assert nodes[0].sessions_lost() + nodes[1].sessions_lost() == 0


def test_a_node_starts_alone_where_there_is_no_redis_and_joins_when_there_is(redis, start):
    redis.kill()
    node = start(redis)
    client = node.connect()
    client.subscribe("presence-room", "ann")
    wait_until(node.degraded, "/ready to say so")
    redis.start()
    node.wait_until_joined()
    wait_until(lambda: node.degraded() is None, "/ready to say nothing more")
    other = start(redis)
    other.wait_until_joined()
    assert sorted(other.connect().subscribe("presence-room", "bob")["presence"]["ids"]) == ["ann", "bob"]
    assert client.closed is None
