"""What the endpoints of three nodes hear of channels, members and users: each edge once, in turn, whichever node dies."""

import json
import random
from collections import Counter
from functools import partial

import pytest

from measured import APP_ID, KEY, SECRET
from nodes import LEASE_S, wait_until
from receiver import Receiver
from streams import STREAM, Snapshots

GRACE_MS = 300
ROOM = "presence-room"
NAMES = {
    "channel_occupied": "+",
    "channel_vacated": "-",
    "member_added": "+",
    "member_removed": "-",
    "user_online": "+",
    "user_offline": "-",
}
# A server that has lost its memory is compared with after so long.
SETTLED_S = 3 * LEASE_S


class Endpoint(Receiver):
    """What was told of each channel, member and user, in order: an event that comes again under the same id counts once."""

    def edges(self):
        told = {}
        for event in {event["id"]: event for _, event in self.events()}.values():
            if event["name"] in NAMES:
                what = event.get("channel"), event.get("user_id")
                told.setdefault(what, []).append(NAMES[event["name"]])
        return {what: "".join(ways) for what, ways in told.items()}

    def told(self, name, channel):
        """The other events of this name."""
        events = {event["id"]: event for _, event in self.events()}.values()
        return [event for event in events if event["name"] == name and event["channel"] == channel]

    def of(self, channel, user=None):
        return self.edges().get((channel, user), "")

    def wait_for(self, channel, ways, user=None):
        wait_until(lambda: self.of(channel, user) == ways, lambda: f"{ways} of {channel}: {self.edges()}", 60)


@pytest.fixture
def endpoint(ends, monkeypatch):
    monkeypatch.setenv("CORECAST_HOOKS_GRACE_MS", str(GRACE_MS))
    ends.append(Endpoint())
    return ends[-1]


@pytest.fixture
def hooked_by(start, endpoint, tmp_path):
    """Starts nodes at this Redis that tell the endpoint, each with a journal of its own."""

    config = tmp_path / "corecast.toml"
    config.write_text(f"""
        [[apps]]
        id = "{APP_ID}"
        key = "{KEY}"
        secret = "{SECRET}"
        client_events = true
        subscription_count_events = true
        watchlist_events = true
        [[apps.hooks]]
        url = "{endpoint.url}"
        events = {[*NAMES, "client_event", "cache_miss", "subscription_count"]}
    """)

    def make(redis, name):
        return start(redis, "--data-dir", str(tmp_path / name), app=("--config", str(config)))

    return make


@pytest.fixture
def hooked(redis, hooked_by):
    """The same at the one Redis."""
    return partial(hooked_by, redis)


@pytest.fixture
def trio(hooked):
    nodes = [hooked(name) for name in "abc"]
    for node in nodes:
        node.wait_until_joined()
    wait_until(lambda: holders(nodes), "a node that takes the edges")
    return nodes


def holders(nodes):
    living = [node for node in nodes if node.process.poll() is None]
    return [node for node in living if node.total("corecast_hook_edges_holder") == 1]


def others(nodes, node):
    return [other for other in nodes if other is not node]


def is_in_turn(ways):
    return ways == ("+-" * len(ways))[: len(ways)]


def test_each_edge_is_told_once_and_in_turn_over_all_nodes(trio, endpoint):
    draw = random.Random(7)
    clients = [node.connect() for node in trio for _ in range(2)]
    there, heard = set(), Counter()
    signed_in = [node.connect() for node in trio[:2]]
    for client in signed_in:
        client.sign_in("dan")
    for _ in range(60):
        client = draw.choice(clients)
        channel, user = draw.choice([("news", None), (ROOM, "ann"), (ROOM, "bob")])
        mine = {(c, u) for place, c, u in there if place is client}
        if any(c == channel for c, _ in mine):
            client.unsubscribe(channel)
            there = {it for it in there if not (it[0] is client and it[1] == channel)}
        else:
            client.connection.send("pusher:subscribe", client.asking_for(channel, user))
            heard[client, channel] += 1
            client.wait_for("pusher_internal:subscription_succeeded", channel, heard[client, channel])
            there.add((client, channel, user))
    for client in clients:
        client.unsubscribe("news")
        client.unsubscribe(ROOM)
    for client in signed_in:
        client.close()
    wait_until(
        lambda: len(endpoint.edges()) == 5 and all(ways.endswith("-") for ways in endpoint.edges().values()),
        lambda: f"the end of all: {endpoint.edges()}",
    )
    assert all(is_in_turn(ways) for ways in endpoint.edges().values()), endpoint.edges()
    assert endpoint.of(None, "dan") == "+-"
    assert len(holders(trio)) == 1


@pytest.mark.parametrize("shards", [2], indirect=True)
def test_what_is_no_edge_is_told_once_by_the_node_where_it_happens(trio, endpoint):
    clients = [node.connect() for node in trio]
    for client in clients:
        client.subscribe("private-talk")
    clients[0].connection.send("client-said", {"text": "hi"}, "private-talk")
    for client in clients[1:]:
        client.wait_for("client-said", "private-talk")
    clients[0].subscribe("cache-state")
    clients[0].wait_for("pusher:cache_miss", "cache-state")
    trio[1].sdk.trigger("cache-state", "state", "on")
    clients[0].wait_for("state", "cache-state")
    clients[2].subscribe("cache-state")
    clients[2].wait_for("state", "cache-state")
    for client in clients:
        client.unsubscribe("private-talk")
    endpoint.wait_for("private-talk", "+-")
    wait_until(lambda: endpoint.told("client_event", "private-talk"), "the client event")
    wait_until(lambda: endpoint.told("cache_miss", "cache-state"), "the miss")
    [said] = endpoint.told("client_event", "private-talk")
    assert (said["event"], said["socket_id"]) == ("client-said", clients[0].socket_id)
    assert len(endpoint.told("cache_miss", "cache-state")) == 1


def test_hooks_hear_once_how_many_subscribe_on_all_nodes(trio, endpoint):
    def numbers():
        return [event["subscription_count"] for event in endpoint.told("subscription_count", "news")]

    clients, expected = [node.connect() for node in trio], []
    for number, client in enumerate(clients, 1):
        client.subscribe("news")
        expected.append(number)
        wait_until(lambda: numbers() == expected, lambda: f"{expected}: {numbers()}")
        wait_until(lambda: all(it.counts["news"] == number for it in clients[:number]), "all to be told")
    while clients:
        clients.pop(0).unsubscribe("news")
        expected.append(len(clients))
        wait_until(lambda: numbers() == expected, lambda: f"{expected}: {numbers()}")
        wait_until(lambda: all(it.counts["news"] == len(clients) for it in clients), "the rest to be told")


def test_a_killed_holder_s_edges_are_told_by_another_node(trio, endpoint):
    [holder] = holders(trio)
    first, second = others(trio, holder)
    holder.connect().subscribe(ROOM, "ann")
    first.connect().subscribe(ROOM, "bob")
    holder.connect().subscribe("news")
    endpoint.wait_for(ROOM, "+", "ann")
    endpoint.wait_for(ROOM, "+", "bob")
    endpoint.wait_for("news", "+")
    # What was told is known to the next one.
    wait_until(lambda: holder.total("corecast_hook_edges_passed_total") == 4, "four edges")
    holder.kill()
    second.connect().subscribe("late")
    endpoint.wait_for("late", "+")
    endpoint.wait_for(ROOM, "+-", "ann")
    endpoint.wait_for("news", "+-")
    assert (endpoint.of(ROOM), endpoint.of(ROOM, "bob")) == ("+", "+")
    assert len(holders(trio)) == 1


def test_a_holder_that_is_stopped_beyond_its_lease_gives_way_and_comes_back(trio, endpoint):
    [holder] = holders(trio)
    first, _ = others(trio, holder)
    holder.connect().subscribe("here")
    endpoint.wait_for("here", "+")
    holder.pause()
    there = first.connect()
    there.subscribe("there")
    endpoint.wait_for("there", "+")
    endpoint.wait_for("here", "+-")
    holder.go_on()
    endpoint.wait_for("here", "+-+")
    there.unsubscribe("there")
    endpoint.wait_for("there", "+-")
    assert len(holders(trio)) == 1


@pytest.mark.parametrize("forgets", [False, True])
def test_a_redis_that_comes_back_tells_nothing_twice_and_what_ended_meanwhile_once(trio, endpoint, redis, forgets):
    clients = [node.connect() for node in trio]
    for client, user in zip(clients, ("ann", "bob", "eve")):
        client.subscribe(ROOM, user)
    clients[1].subscribe("news")
    for user in (None, "ann", "bob", "eve"):
        endpoint.wait_for(ROOM, "+", user)
    endpoint.wait_for("news", "+")
    redis.kill()
    for node in trio:
        wait_until(node.degraded, "/ready to say so")
    clients[1].unsubscribe("news")
    clients[2].unsubscribe(ROOM)
    if forgets:
        redis.forget_everything()
    redis.start()
    for node in trio:
        node.wait_until_joined()
    endpoint.wait_for("news", "+-")
    endpoint.wait_for(ROOM, "+-", "eve")
    clients[0].subscribe("later")
    endpoint.wait_for("later", "+")
    assert [endpoint.of(ROOM, user) for user in (None, "ann", "bob")] == ["+", "+", "+"], endpoint.edges()


def test_a_redis_that_has_forgotten_what_was_told_is_told_it_again_for_the_next_holder(trio, endpoint, redis):
    clients = [node.connect() for node in trio]
    clients[0].subscribe(ROOM, "ann")
    for number, client in enumerate(clients):
        client.subscribe(f"news-{number}")
        endpoint.wait_for(f"news-{number}", "+")
    endpoint.wait_for(ROOM, "+", "ann")
    redis.ask("FLUSHALL")
    for node in trio:
        wait_until(lambda node=node: node.sessions_lost() > 0, "the end of the session")
        node.wait_until_joined()
    wait_until(lambda: len(holders(trio)) == 1, "a node that has the edges")
    [holder] = holders(trio)
    # It comes first because it knows what it has told.
    wait_until(lambda: len(redis.ask("SMEMBERS", "{corecast}:passed")) == 5, lambda: redis.ask("SMEMBERS", "{corecast}:passed"))
    holder.kill()
    rest = others(trio, holder)
    rest[0].connect().subscribe("late")
    endpoint.wait_for("late", "+")
    alive = [number for number, node in enumerate(trio) if node is not holder]
    assert [endpoint.of(f"news-{number}") for number in alive] == ["+", "+"], endpoint.edges()


def test_what_ended_while_a_redis_went_back_to_an_older_snapshot_is_told_once(ends, hooked_by, endpoint, tmp_path):
    redis = Snapshots(tmp_path / "snapshots")
    ends.append(redis)
    nodes = [hooked_by(redis, name) for name in "ab"]
    for node in nodes:
        node.wait_until_joined()
    wait_until(lambda: holders(nodes), "a node that takes the edges")
    clients = [node.connect() for node in nodes]
    clients[0].subscribe("stays")
    endpoint.wait_for("stays", "+")
    redis.ask("SAVE")
    clients[1].subscribe("ends")
    clients[1].subscribe("goes-on")
    endpoint.wait_for("ends", "+")
    endpoint.wait_for("goes-on", "+")
    redis.kill()
    for node in nodes:
        wait_until(node.degraded, "/ready to say so")
    clients[1].unsubscribe("ends")
    redis.start()
    for node in nodes:
        node.wait_until_joined()
    endpoint.wait_for("ends", "+-")
    clients[0].subscribe("later")
    endpoint.wait_for("later", "+")
    assert [endpoint.of("stays"), endpoint.of("goes-on")] == ["+", "+"], endpoint.edges()


def test_a_node_without_hooks_takes_none_and_its_edges_are_told(redis, start, hooked, endpoint):
    bare = start(redis)
    bare.wait_until_joined()
    early = bare.connect()
    early.subscribe(ROOM, "ann")
    assert redis.ask("EXISTS", "{corecast}:edges") == 0, "nobody has hooks, nothing is kept for them"
    told = hooked("a")
    told.wait_until_joined()
    endpoint.wait_for(ROOM, "+", "ann")
    assert holders([bare, told]) == [told]
    early.unsubscribe(ROOM)
    endpoint.wait_for(ROOM, "+-")
    assert endpoint.of(ROOM, "ann") == "+-"


def test_a_holder_that_stops_in_order_gives_the_edges_to_another_and_may_come_back(trio, hooked, endpoint):
    [holder] = holders(trio)
    first, _ = others(trio, holder)
    stays = first.connect()
    stays.subscribe("news")
    endpoint.wait_for("news", "+")
    holder.stop()
    wait_until(lambda: len(holders(trio)) == 1, "another node that takes the edges")
    again = hooked("abc"[trio.index(holder)])
    again.wait_until_joined()
    again.connect().subscribe("news")
    stays.unsubscribe("news")
    again.connect().subscribe("late")
    endpoint.wait_for("late", "+")
    assert endpoint.of("news") == "+"
    again.clients[0].unsubscribe("news")
    endpoint.wait_for("news", "+-")


def told_in(stream):
    """What the entries of a stream tell of each channel and member, in order."""
    told = {}
    for _, words in stream:
        entry = dict(zip(words[::2], words[1::2]))
        data = json.loads(entry["data"])
        told.setdefault((data["channel"], data.get("user_id")), []).append(NAMES[entry["name"]])
    return {what: "".join(ways) for what, ways in told.items()}


@pytest.mark.parametrize("shards", [2], indirect=True)
def test_a_stream_that_nodes_share_has_each_edge_once_whoever_is_killed(redis, start, endpoint, tmp_path):
    def join(name):
        node = start(redis, "--redis", redis.url, "--data-dir", str(tmp_path / name))
        node.wait_until_joined()
        return node

    nodes = {name: join(name) for name in "abc"}
    stream = lambda: told_in(redis.ask("XRANGE", STREAM, "-", "+"))
    for turn in range(2):
        wait_until(lambda: len(holders(nodes.values())) == 1, "a node that takes the edges")
        [holder] = holders(nodes.values())
        stays = next(node for node in nodes.values() if node is not holder).connect()
        here = holder.connect()
        for number in range(100):
            for client in (stays, here):
                channel = f"presence-{turn}-{number}"
                client.connection.send("pusher:subscribe", client.asking_for(channel, f"user-{client is here}"))
        wait_until(lambda turn=turn: (f"presence-{turn}-5", None) in stream(), "edges under way")
        holder.kill()
        [name] = (name for name, node in nodes.items() if node is holder)
        nodes[name] = join(name)
        for number in range(100):
            stays.wait_for("pusher_internal:subscription_succeeded", f"presence-{turn}-{number}")
        stays.close()
    told_by = lambda: [ways for (channel, user), ways in stream().items() if user != "user-True"]
    wait_until(lambda: len(told_by()) == 400 and all(ways[-1] == "-" for ways in told_by()), stream, 60)
    wait_until(lambda: all(ways[-1] == "-" for ways in stream().values()), stream, 60)
    assert all(is_in_turn(ways) for ways in stream().values()), stream()
