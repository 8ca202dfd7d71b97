"""With soketi's prefix, metrics have soketi's names, and each app and port apart."""

import hashlib
import hmac
import json
import time
import urllib.request

from measured import APP_ID, HOST

from churners import APPS, PATIENCE_S, Churner

COUNTERS = [
    "new_connections_total",
    "new_disconnections_total",
    "socket_received_bytes",
    "socket_transmitted_bytes",
    "ws_messages_received_total",
    "ws_messages_sent_total",
    "http_received_bytes",
    "http_transmitted_bytes",
    "http_calls_received_total",
    "horizontal_adapter_resolved_promises",
    "horizontal_adapter_uncomplete_promises",
    "horizontal_adapter_sent_requests",
    "horizontal_adapter_received_requests",
    "horizontal_adapter_received_responses",
]


def started(start, tmp_path, shards=1):
    settings = tmp_path / "corecast.toml"
    apps = [f'[[apps]]\nid = "{name}"\nkey = "{key}"\nsecret = "{secret}"\n' for name, (key, secret) in APPS.items()]
    settings.write_text('metrics_prefix = "soketi_"\n' + "".join(apps))
    return start("--config", str(settings), app=(), shards=shards)


def test_all_of_soketis_names_are_there_for_each_app_with_its_port(start, tmp_path):
    server = started(start, tmp_path)
    with urllib.request.urlopen(f"http://{HOST}:{server.admin}/metrics", timeout=20) as answer:
        text = answer.read().decode()
    samples = server.metrics()
    for app in APPS:
        labels = f'{{app_id="{app}",port="{server.port}"}}'
        for name in ["connected", *COUNTERS, "horizontal_adapter_resolve_time_count"]:
            assert f"soketi_{name}{labels}" in samples, name
    for name in COUNTERS:
        assert f"# TYPE soketi_{name} counter\n" in text
    assert "# TYPE soketi_connected gauge\n" in text
    assert "# TYPE soketi_horizontal_adapter_resolve_time histogram\n" in text
    families = [line.split(" ")[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(families) == len(set(families)), "no family comes twice"


def test_what_passes_is_counted_for_the_app_that_it_is_of(start, tmp_path):
    server = started(start, tmp_path, shards=2)
    clients = [Churner(server.port, app) for app in (APP_ID, APP_ID, "7002")]
    for client in clients:
        client.subscribe("a", None)
    said = json.dumps({"name": "e", "channel": "a", "data": "x" * 100})
    body = said.encode()
    key, secret = APPS[APP_ID]
    path = f"/apps/{APP_ID}/events"
    query = (
        f"auth_key={key}&auth_timestamp={int(time.time())}&auth_version=1.0&body_md5={hashlib.md5(body).hexdigest()}"
    )
    signature = hmac.new(secret.encode(), f"POST\n{path}\n{query}".encode(), hashlib.sha256).hexdigest()
    url = f"http://{HOST}:{server.port}{path}?{query}&auth_signature={signature}"
    before = counted(server)
    asked = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    assert urllib.request.urlopen(asked, timeout=20).status == 200
    for client in clients[:2]:
        client.hear("e", channel="a")
    clients[2].pong()
    end = time.monotonic() + PATIENCE_S
    while True:
        grown = {name: value - before[name] for name, value in counted(server).items()}
        mine, other = ({name: grown[app, name] for name in COUNTERS} for app in (APP_ID, "7002"))
        if mine["ws_messages_sent_total"] >= 2 and other["ws_messages_sent_total"] >= 1:
            break
        assert time.monotonic() < end, grown
    assert mine["http_calls_received_total"] == 1 and other["http_calls_received_total"] == 0
    assert mine["http_received_bytes"] > len(body) and mine["http_transmitted_bytes"] > 100
    assert mine["socket_transmitted_bytes"] > 200 and mine["ws_messages_received_total"] == 0
    assert other["ws_messages_received_total"] == 1 and 0 < other["socket_transmitted_bytes"] < 100
    assert other["socket_received_bytes"] > 0


def counted(server):
    samples = server.metrics()
    names = [(app, name) for app in APPS for name in COUNTERS]
    return {(app, name): samples[f'soketi_{name}{{app_id="{app}",port="{server.port}"}}'] for app, name in names}
