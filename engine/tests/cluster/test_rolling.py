"""Nodes that stop in order, are killed, and are started again, one after another."""

import os
import re
import subprocess
from pathlib import Path

import pusher
import pytest

from measured import APP_ID, HOST, KEY, SECRET, free_port
from nodes import wait_until
from roamer import Roamer
from server import ready
from test_hooks import endpoint, hooked, hooked_by, is_in_turn, trio  # noqa: F401

CLIENTS, ROOMS = 300, 10
PAGE = Path(__file__).parents[3] / "docs/cluster.md"


class Front:
    """A HAProxy with the back end that docs/cluster.md prints, before these nodes."""

    def __init__(self, nodes, directory):
        self.port, self.directory = free_port(), directory
        [backend] = re.findall(r"```\n(backend corecast\n.*?)```", PAGE.read_text(), re.DOTALL)
        for letter, number, node in zip("abc", "123", nodes, strict=True):
            written = f"server {letter} 10.0.0.{number}:6001"
            assert written in backend
            backend = backend.replace(written, f"server {letter} {HOST}:{node.port}")
        settings = directory / "haproxy.cfg"
        settings.write_text(f"""
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend public
    bind {HOST}:{self.port}
    default_backend corecast
{backend}""")
        with (directory / "haproxy.log").open("w") as output:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "haproxy", "-db", "-f", settings],
                # Debian has it where administrators look.
                env={**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin"},
                stdout=output,
                stderr=output,
            )
        self.sdk = pusher.Pusher(APP_ID, KEY, SECRET, ssl=False, host=HOST, port=self.port, timeout=15)
        wait_until(lambda: ready(self.port), "HAProxy")

    def close(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def roam(ends):
    def make(*arguments):
        ends.append(Roamer(*arguments))
        return ends[-1]

    return make


def test_nodes_say_who_comes_and_who_goes_and_how(redis, start):
    first = start(redis)
    first.wait_until_joined()
    second, third = start(redis), start(redis)
    for node in (second, third):
        node.wait_until_joined()
    wait_until(lambda: first.output().count("is there, on") == 2, first.output)
    watcher = first.connect()
    watcher.subscribe("presence-room", "ann")
    second.connect().subscribe("presence-room", "bob")
    watcher.wait_for("pusher_internal:member_added", "presence-room")
    second.stop()
    wait_until(lambda: watcher.joined("presence-room") == ["+bob", "-bob"], watcher.frames)
    wait_until(lambda: "in order" in first.output(), first.output)
    assert "was taken for dead" not in first.output()
    third.kill()
    wait_until(lambda: "was taken for dead" in first.output(), first.output)


def test_the_last_node_tells_its_clients_to_wait_and_others_to_go_on_at_once(redis, start, roam):
    nodes = [start(redis), start(redis)]
    for node in nodes:
        node.wait_until_joined()
    wait_until(lambda: all("is there, on" in node.output() for node in nodes), "both to see each other")
    up = [nodes[0]]
    client = roam(up, "ann", "presence-room", "news")
    wait_until(lambda: client.is_in, "the client")
    up[:] = [nodes[1]]
    nodes[0].stop()
    wait_until(lambda: client.codes == [4200] and client.is_in, lambda: f"its return: {client.codes}")
    # Nobody beats beside it any more.
    wait_until(lambda: "has left" in nodes[1].output(), nodes[1].output)
    nodes[1].stop()
    wait_until(lambda: client.codes[:2] == [4200, 4100], lambda: f"its pause: {client.codes}")


@pytest.mark.parametrize("shards", [2], indirect=True, ids=["2 shards"])
def test_nodes_that_stop_together_do_not_send_their_clients_to_each_other(redis, start, roam):
    nodes = [start(redis, "--ready-grace", "4") for _ in range(2)]
    for node in nodes:
        node.wait_until_joined()
    wait_until(lambda: all("is there, on" in node.output() for node in nodes), "both to see each other")
    clients = [roam([node], "ann", "presence-room", "news") for node in nodes]
    wait_until(lambda: all(client.is_in for client in clients), "both clients")
    for node in nodes:
        node.process.terminate()
    wait_until(lambda: all(client.codes for client in clients), "both clients to be closed")
    assert [client.codes[0] for client in clients] == [4100, 4100]


@pytest.mark.parametrize("shards", [2], indirect=True, ids=["2 shards"])
def test_three_nodes_that_are_restarted_in_turn_keep_their_clients_events_members_and_hooks(
    trio, hooked, endpoint, roam  # noqa: F811
):
    for node in trio:
        wait_until(lambda node=node: "is there, on" in node.output(), "each node to see another")
    up = list(trio)
    crowd = [roam(up, f"u{n}", f"presence-{n % ROOMS}", "news") for n in range(CLIENTS)]
    wait_until(lambda: all(client.is_in for client in crowd), "all clients", 60)
    number = 0
    for place in range(3):
        leaver = up[place]
        stays = up[(place + 1) % 3]
        up.remove(leaver)
        for _ in range(5):
            stays.sdk.trigger("news", "said", number)
            number += 1
        leaver.stop()
        for _ in range(5):
            stays.sdk.trigger("news", "said", number)
            number += 1
        wait_until(lambda: all(client.is_in for client in crowd), "all clients to be back", 60)
        fresh = hooked("abc"[place])
        fresh.wait_until_joined()
        up.insert(place, fresh)
    stays.sdk.trigger("news", "said", number)
    wait_until(lambda: all(client.lives[-1][0][-1:] == [number] for client in crowd), "the last event", 60)
    for client in crowd:
        assert set(client.codes) <= {4200}, client.codes
        for said, edges in client.lives:
            assert said == list(range(said[0], said[0] + len(said))) if said else True, "what was missed"
            # Those who were there first, and those who came later, go and come by turns.
            assert all(is_in_turn(ways) or is_in_turn("+" + ways) for ways in edges.values()), edges
    wait_until(lambda: len(endpoint.edges()) == 1 + ROOMS + CLIENTS, lambda: f"all edges: {len(endpoint.edges())}", 60)
    wait_until(lambda: all(ways.endswith("+") for ways in endpoint.edges().values()), "all to be there", 60)
    assert all(is_in_turn(ways) for ways in endpoint.edges().values())


@pytest.mark.parametrize("shards", [2], indirect=True, ids=["2 shards"])
def test_behind_the_printed_haproxy_nobody_fails_to_connect_while_nodes_are_restarted(redis, start, roam, ends, tmp_path):
    nodes = [start(redis, "--ready-grace", "3") for _ in range(3)]
    for node in nodes:
        node.wait_until_joined()
    ends.append(Front(nodes, tmp_path))
    front = ends[-1]
    crowd = [roam([front], f"u{n}", "presence-room", "news") for n in range(30)]
    wait_until(lambda: all(client.is_in for client in crowd), "all clients")
    for number, node in enumerate(nodes):
        node.stop()
        wait_until(lambda: all(client.is_in for client in crowd), "all clients to be back")
        node.start_again()
        node.wait_until_joined()
        # By any of those that are up.
        front.sdk.trigger("news", "said", number)
        wait_until(lambda: all(client.lives[-1][0][-1:] == [number] for client in crowd), f"event {number}")
    for client in crowd:
        assert set(client.codes) <= {4200} and client.failures == [], (client.codes, client.failures)
    assert all(client.codes for client in crowd), "each node was restarted, so each client has moved"
