"""Back ends get the same answers from whichever node they ask."""

import json

import pytest

from nodes import wait_until


def asked(node, path, params=None):
    status, body, _ = node.call("GET", path, params)
    assert status == 200, body
    return body


def test_every_node_answers_for_all(three):
    clients = [node.connect() for node in three for _ in range(2)]
    for client, user in zip(clients, ("ann", "ann", "ann", "bob", "cid", "cid")):
        client.subscribe("presence-room", user)
        client.subscribe("news")
    clients[0].subscribe("only-here")
    three[1].sdk.trigger("cache-state", "state", {"on": True})
    both = {"info": "user_count,subscription_count"}
    for node in three:
        def said(node=node):
            return {
                "room": asked(node, "/channels/presence-room", both),
                "news": asked(node, "/channels/news", {"info": "subscription_count"}),
                "all": asked(node, "/channels", {"info": "subscription_count"})["channels"],
                "presence": asked(node, "/channels", {"filter_by_prefix": "presence-", **both})["channels"],
            }

        expected = {
            "room": {"occupied": True, "user_count": 3, "subscription_count": 6},
            "news": {"occupied": True, "subscription_count": 6},
            "all": {
                "news": {"subscription_count": 6},
                "presence-room": {"subscription_count": 6},
                "only-here": {"subscription_count": 1},
            },
            "presence": {"presence-room": {"user_count": 3, "subscription_count": 6}},
        }
        # Another node's number of subscriptions is told within a tenth of a second.
        wait_until(lambda: said() == expected, lambda: f"{expected}, but it is {said()}")
        users = asked(node, "/channels/presence-room/users")["users"]
        assert sorted(user["id"] for user in users) == ["ann", "bob", "cid"]
        assert asked(node, "/channels/none") == {"occupied": False}
        cache = asked(node, "/channels/cache-state", {"info": "cache"})["cache"]
        assert json.loads(cache["data"]) == {"on": True} and cache["ttl"] > 0
        told = {"name": "said", "channels": ["presence-room", "none"], "data": "x", **both}
        assert node.call("POST", "/events", body=told)[1]["channels"] == {
            "presence-room": {"user_count": 3, "subscription_count": 6},
            "none": {"subscription_count": 0},
        }
        batch = [{"channel": "news", "name": "said", "data": "x", "info": "subscription_count"}]
        told = node.call("POST", "/batch_events", body={"batch": batch})[1]
        assert told == {"batch": [{"subscription_count": 6}]}


def test_long_lists_come_whole(three):
    client = three[0].connect()
    names = {f"presence-{number}" for number in range(700)}
    for name in sorted(names):
        data = {"channel": name}
        data.update(three[0].sdk.authenticate(name, client.socket_id, {"user_id": "ann"}))
        client.connection.send("pusher:subscribe", data)
    wait_until(
        lambda: sum(f["event"] == "pusher_internal:subscription_succeeded" for f in client.frames) == 700,
        "all subscriptions",
    )
    for node in three:
        found = asked(node, "/channels", {"filter_by_prefix": "presence-", "info": "user_count"})["channels"]
        assert set(found) == names and all(counts == {"user_count": 1} for counts in found.values())
    some = asked(three[1], "/channels", {"filter_by_prefix": "presence-69"})["channels"]
    assert set(some) == {name for name in names if name.startswith("presence-69")}


QUESTIONS = ["/channels", "/channels/presence-room", "/channels/presence-room/users"]


@pytest.mark.parametrize("fault", ["killed", "hanging"])
def test_a_node_that_cannot_ask_says_so_and_what_it_can_do_it_does(redis, start, fault):
    node = start(redis)
    node.wait_until_joined()
    client = node.connect()
    client.subscribe("presence-room", "ann")
    if fault == "killed":
        redis.kill()
    else:
        redis.pause()
    # From the first moment on: whole answers or 503, never half of one.
    wait_until(lambda: all(node.call("GET", path)[0] == 503 for path in QUESTIONS), "503")
    for path in QUESTIONS:
        status, body, headers = node.call("GET", path)
        assert status == 503 and headers["Retry-After"] == "1"
        assert headers["Content-Type"] == "application/json" and "Redis" in body["error"]
    wait_until(node.degraded, "/ready to say so")
    event = {"name": "said", "channels": ["presence-room"], "data": "x", "info": "subscription_count"}
    status, body, _ = node.call("POST", "/events", body=event)
    assert (status, body) == (200, {"channels": {"presence-room": {"subscription_count": 1}}})
    client.wait_for("said", "presence-room")
    assert node.call("POST", "/users/nobody/terminate_connections", body={})[0] == 503
    if fault == "killed":
        redis.start()
    else:
        redis.go_on()
    wait_until(lambda: all(node.call("GET", path)[0] == 200 for path in QUESTIONS), "answers")
    wait_until(
        lambda: asked(node, "/channels/presence-room", {"info": "user_count,subscription_count"})
        == {"occupied": True, "user_count": 1, "subscription_count": 1},
        "the same as before",
    )


def test_connections_of_an_app_are_counted_over_all_nodes(three):
    clients = [node.connect() for node in three for _ in range(2)]
    for node in three:
        wait_until(lambda node=node: asked(node, "/connections") == {"connections": len(clients)}, "all are counted")
