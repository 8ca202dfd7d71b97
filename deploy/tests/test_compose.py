"""The compositions of deploy/: what they start serves, and is what the images and profiles beside them are for."""

import json
import shlex
import urllib.request

import pusher
import pytest
import yaml

from composition import Composition
from conftest import TREE
from connection import Connection
from measured import signed
from server import APP_ID, BINARY, KEY, SECRET

CLUSTER = TREE / "deploy/compose/compose.yaml"
SINGLE = TREE / "deploy/docker/compose.yaml"
APPS = f"{APP_ID}:{KEY}:{SECRET}\n"


class Front:
    """Where clients and back ends connect."""

    def __init__(self, host):
        self.host, self.port = host, 6001
        self.sdk = pusher.Pusher(APP_ID, KEY, SECRET, ssl=False, host=host, port=self.port, timeout=15)

    def connect(self):
        return Connection(self, self.sdk, host=self.host)

    def is_joined(self):
        with urllib.request.urlopen(f"http://{self.host}:9601/metrics") as answer:
            lines = [line for line in answer.read().decode().splitlines() if line.startswith("corecast_bus_session_state{")]
        return [line.rsplit(" ", 1)[1] for line in lines] == ["2"]

    def connections(self):
        """How many clients the app has here."""
        with urllib.request.urlopen(f"http://{self.host}:{self.port}{signed('GET', f'/apps/{APP_ID}/connections')}") as answer:
            return json.load(answer)["connections"]


@pytest.fixture
def compose(ends, tmp_path):
    def make(path):
        ends.append(Composition(path, tmp_path, APPS, BINARY))
        return ends[-1]

    return make


def test_events_cross_the_nodes_of_the_cluster_through_haproxy(compose):
    cluster = compose(CLUSTER)
    cluster.start("haproxy")
    front = Front(cluster.addresses["haproxy"])
    nodes = [Front(cluster.addresses[name]) for name in ("node1", "node2", "node3")]
    for node in nodes:
        cluster.wait_until(node.is_joined, f"a session of {node.host} with Redis")
    # leastconn: clients of different nodes hear of each other through Redis alone.
    clients = [front.connect() for _ in nodes]
    for number, client in enumerate(clients):
        client.subscribe("presence-hall", {"user_id": f"user-{number}"})
    counts = [node.connections() for node in nodes]
    assert sum(counts) == 3 and max(counts) < 3, counts
    front.sdk.trigger("presence-hall", "said", "from a back end")
    for client in clients:
        assert next_of(client, "said") == "from a back end"
    clients[0].send("client-waved", "from a client", "presence-hall")
    for client in clients[1:]:
        assert next_of(client, "client-waved") == "from a client"


def test_clients_go_on_when_a_node_stops(compose):
    cluster = compose(CLUSTER)
    cluster.start("haproxy")
    front = Front(cluster.addresses["haproxy"])
    cluster.processes["node1"].terminate()
    assert cluster.processes["node1"].wait(60) == 0, cluster.log("node1")
    client = front.connect()
    client.subscribe("news")
    front.sdk.trigger("news", "said", "on")
    assert next_of(client, "said") == "on"
    del cluster.processes["node1"]


def test_the_single_server_serves(compose):
    single = compose(SINGLE)
    single.start("corecast")
    front = Front(single.addresses["corecast"])
    client = front.connect()
    client.subscribe("news")
    front.sdk.trigger("news", "said", "hello")
    assert next_of(client, "said") == "hello"


@pytest.mark.parametrize("path", [CLUSTER, SINGLE], ids=["cluster", "single"])
def test_nodes_have_no_rights_that_they_do_not_need(path):
    services = yaml.safe_load(path.read_text())["services"].values()
    nodes = [service for service in services if service["image"] == "corecast"]
    assert nodes
    for node in nodes:
        assert node["cap_drop"] == ["ALL"] and node["read_only"] and "no-new-privileges:true" in node["security_opt"]
        [profile] = [it.removeprefix("seccomp:") for it in node["security_opt"] if it.startswith("seccomp:")]
        assert (path.parent / profile).resolve() == TREE / "deploy/docker/seccomp.json"


def test_the_image_says_how_it_is_run():
    lines = (TREE / "deploy/docker/Dockerfile").read_text().splitlines()
    last = {line.split(" ", 1)[0]: line.split(" ", 1)[1] for line in lines if line and line[0].isupper()}
    assert json.loads(last["ENTRYPOINT"]) == ["corecast"]
    assert json.loads(last["CMD"]) == ["serve"]
    assert shlex.split(last["USER"]) == ["10001:10001"]
    assert 'CMD ["corecast", "health"]' in last["HEALTHCHECK"]


def next_of(client, event):
    """The data of the next such event."""
    while (frame := json.loads(client.socket.recv()))["event"] != event:
        pass
    return frame["data"]
