"""What comes between nodes and their Redis, or ends them."""

import time

import pytest

from nodes import LEASE_S, wait_until
from streams import Redis, Snapshots


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


def is_heard(node, client, channel):
    """Whether events of a node come to a client."""
    node.sdk.trigger(channel, "mark", "x")
    return client.heard("mark", channel)


def wait_until_well(nodes):
    for node in nodes:
        wait_until(lambda node=node: node.state() == 2 and node.degraded() is None, node.degraded)


def roster(node, channel="presence-room"):
    """Who is there, as a back end hears it."""
    status, body, _ = node.call("GET", f"/channels/{channel}/users")
    return sorted(user["id"] for user in body["users"]) if status == 200 else status


def test_a_redis_that_comes_back_with_older_data_is_told_what_is_so_now(ends, start, tmp_path):
    redis = Snapshots(tmp_path / "snapshots")
    ends.append(redis)
    nodes = [start(redis) for _ in range(2)]
    wait_until_well(nodes)
    ann, bob, cid = nodes[0].connect(), nodes[1].connect(), nodes[1].connect()
    ann.subscribe("presence-room", "ann")
    bob.subscribe("presence-room", "bob")
    wait_until(lambda: ann.joined("presence-room") == ["+bob"], "bob")
    redis.ask("SAVE")
    cid.subscribe("presence-room", "cid")
    bob.unsubscribe("presence-room")
    wait_until(lambda: ann.joined("presence-room")[-1] == "-bob", "bob's end")
    for number in range(20):
        nodes[number % 2].sdk.trigger("presence-room", "said", str(number))
    for client in (ann, cid):
        client.wait_for("said", "presence-room", 20)
    redis.kill()
    redis.start()
    for node in nodes:
        wait_until(lambda node=node: node.sessions_lost() > 0, "the end of the session")
    wait_until_well(nodes)
    for node in nodes:
        wait_until(lambda node=node: roster(node) == ["ann", "cid"], lambda node=node: roster(node))
    wait_until(lambda: is_heard(nodes[0], cid, "presence-room"), "events of the first node")
    wait_until(lambda: is_heard(nodes[1], ann, "presence-room"), "events of the second node")
    assert len(ann.heard("said", "presence-room")) == len(cid.heard("said", "presence-room")) == 20
    there = {"ann"}
    for edge in ann.joined("presence-room"):
        (there.add if edge[0] == "+" else there.discard)(edge[1:])
    assert there == {"ann", "cid"} and all(client.closed is None for client in (ann, bob, cid))


def test_a_replica_takes_over_and_nobody_leaves(pair_of_proxied, ends, tmp_path):
    proxies, nodes, clients, redis = pair_of_proxied
    ends.append(Redis(tmp_path / "replica"))
    replica = ends[-1]
    replica.ask("REPLICAOF", "127.0.0.1", redis.port)
    wait_until(lambda: "master_link_status:up" in replica.ask("INFO", "replication"), "the replica")
    nodes[0].sdk.trigger("presence-room", "said", "before")
    for client in clients:
        client.wait_for("said", "presence-room")
    wait_until(lambda: "{corecast}:nodes" in replica.ask("KEYS", "*"), "its copy")
    redis.kill()
    for proxy in proxies:
        proxy.redis = replica
        proxy.cut()
    # Until it is promoted it refuses to write, and nodes serve alone.
    for node in nodes:
        wait_until(node.degraded, "/ready to say so")
    replica.ask("REPLICAOF", "NO", "ONE")
    wait_until_well(nodes)
    for node, client in zip(nodes, reversed(clients)):
        wait_until(lambda node=node, client=client: is_heard(node, client, "presence-room"), "the other node's events")
    for node in nodes:
        wait_until(lambda node=node: roster(node) == ["ann", "bob"], lambda node=node: roster(node))
    assert all(client.closed is None for client in clients)
    assert not any("-" in edge for client in clients for edge in client.joined("presence-room"))


@pytest.fixture
def pair_of_proxied(redis, start, before):
    """Two nodes behind a proxy each, with a client in a channel with members."""
    proxies = [before(redis) for _ in range(2)]
    nodes = [start(proxy) for proxy in proxies]
    for node in nodes:
        node.wait_until_joined()
    clients = [node.connect() for node in nodes]
    for client, user in zip(clients, ("ann", "bob")):
        client.subscribe("presence-room", user)
    wait_until(lambda: clients[0].joined("presence-room") == ["+bob"], "bob")
    return proxies, nodes, clients, redis


@pytest.mark.parametrize("garbage", ["texts", "lists", "entries"])
def test_what_others_write_into_its_keys_hurts_for_a_moment_only(pair, redis, garbage):
    _, nodes, clients = pair
    nodes[0].sdk.trigger("cache-state", "state", "1")
    for key in redis.ask("KEYS", "{corecast}:*"):
        if garbage == "entries" and ":in:" in key:
            redis.ask("XADD", key, "*", "P1/cpresence-room", "nonsense", "J\x00", "", "", "")
        elif garbage != "entries":
            redis.ask("DEL", key)
            redis.ask(*(["SET", key, "nonsense"] if garbage == "texts" else ["RPUSH", key, "nonsense"]))
    for node, client in zip(nodes, reversed(clients)):
        wait_until(lambda node=node, client=client: is_heard(node, client, "presence-room"), "the other node's events")
    wait_until_well(nodes)
    for node in nodes:
        wait_until(lambda node=node: roster(node) == ["ann", "bob"], lambda node=node: roster(node))
    late = nodes[1].connect()
    assert sorted(late.subscribe("presence-room", "cid")["presence"]["ids"]) == ["ann", "bob", "cid"]
    wait_until(lambda: clients[0].joined("presence-room")[-1] == "+cid", "cid")
    assert all(client.closed is None for client in clients)


@pytest.mark.parametrize("shards", [1], indirect=True)
def test_members_of_other_nodes_leave_when_redis_is_away_for_too_long_and_come_back(
    redis, start, before, monkeypatch
):
    monkeypatch.setenv("CORECAST_CLUSTER_REMOTE_MEMBERS_KEPT_S", "1")
    proxy = before(redis)
    nodes = [start(proxy), start(redis)]
    clients = []
    for node, user in zip(nodes, ("ann", "bob")):
        node.wait_until_joined()
        clients.append(node.connect())
        clients[-1].subscribe("presence-room", user)
    here = clients[0]
    wait_until(lambda: here.joined("presence-room") == ["+bob"], lambda: f"bob: {here.frames}")
    proxy.stall()
    wait_until(lambda: here.joined("presence-room") == ["+bob", "-bob"], lambda: f"bob's end: {here.frames}")
    proxy.cut()
    proxy.go_on()
    wait_until(
        lambda: here.joined("presence-room") == ["+bob", "-bob", "+bob"], lambda: f"bob again: {here.frames}"
    )
