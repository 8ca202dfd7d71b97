"""Gauges are the live tables: whatever clients do, they come to what there is."""

import random
import socket
import time

import pytest
import websocket

from churners import APPS, CHANNELS, HOST, PATIENCE_S, USERS, Churner, Doomed, Model, read

STEPS, CHECKS = 120, 4


def await_gauges(server, model, step):
    expected = model.gauges()
    end = time.monotonic() + PATIENCE_S
    while (found := read(server, expected)) != expected:
        wrong = {name: (found[name], value) for name, value in expected.items() if found[name] != value}
        assert time.monotonic() < end, f"step {step}, found and expected: {wrong}"
        time.sleep(0.05)


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("seed", [1, 2])
def test_gauges_equal_what_lives_after_any_coming_and_going(start, seed, shards, monkeypatch):
    # Whoever has no head yet stays as long as the test does.
    monkeypatch.setenv("CORECAST_LIMITS_HEAD_MS_MAX", "600000")
    app = [word for name, (key, secret) in APPS.items() for word in ("--app", f"{name}:{key}:{secret}")]
    server = start(shards=shards, app=tuple(app))
    dice, model, refused = random.Random(seed), Model(), 0

    def connect():
        model.clients.append(Churner(server.port, dice.choice(list(APPS))))

    def be_refused():
        nonlocal refused
        refused += 1
        client = websocket.create_connection(f"ws://{HOST}:{server.port}/app/nobody?protocol=7", timeout=PATIENCE_S)
        assert "4001" in client.recv()
        client.close()

    def stay_half_open():
        if len(model.half_open) < 3:
            model.half_open.append(socket.create_connection((HOST, server.port)))
            model.half_open[-1].sendall(b"GET /app/")

    def leave_half_open():
        if model.half_open:
            model.half_open.pop().close()

    def doom():
        channels = dice.sample([name for name in CHANNELS if not name.startswith("presence-")], 2)
        model.clients.append(Doomed(server.port, dice.choice(list(APPS)), channels))

    def subscribe(client):
        client.subscribe(dice.choice(CHANNELS), dice.choice(USERS))

    def unsubscribe(client):
        if client.channels:
            client.unsubscribe(dice.choice(sorted(client.channels)))

    def sign_in(client):
        client.sign_in(client.user or dice.choice(USERS))

    def end(client):
        dice.choice([client.close, client.hang_up, client.half_close, client.reset])()
        model.clients.remove(client)
        gone.append(client)

    gone = []
    anybody = [connect, connect, connect, be_refused, stay_half_open, leave_half_open]
    somebody = [subscribe, subscribe, subscribe, unsubscribe, sign_in, Churner.subscribe_wrongly, end]
    for step in range(1, STEPS + 1):
        living = [client for client in model.clients if isinstance(client, Churner)]
        if step % 40 == 10:
            doom()
        elif living and dice.random() < 0.7:
            dice.choice(somebody)(dice.choice(living))
        else:
            dice.choice(anybody)()
        if step % (STEPS // CHECKS) == 0:
            for client in [client for client in model.clients if isinstance(client, Doomed)]:
                if dice.random() < 0.7:
                    client.kill()
                    model.clients.remove(client)
            await_gauges(server, model, step)
    for client in list(model.clients):
        end(client) if isinstance(client, Churner) else client.kill()
    for half_open in model.half_open:
        half_open.close()
    model.clients, model.half_open = [], []
    await_gauges(server, model, "all have left")
    samples = server.metrics()
    for name in APPS:
        ever, ended = (samples[f'corecast_new_{what}_total{{app_id="{name}"}}'] for what in ("connections", "disconnections"))
        assert ever == ended > 0, samples
    assert samples['corecast_closes_total{by="server",code="4001"}'] == refused
