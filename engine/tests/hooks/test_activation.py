"""A restart by socket activation: as systemd does, the test holds the socket, ends one server and starts the next.

500 clients (5,000 by `./test.sh --long`) are told to come back, a few at a time, and wait in the queue of the socket while
there is no server. None of them meets a refusal or a reset, all are back, and the endpoint is told every word that was heard.
A back end publishes meanwhile, and the test says how long the successor's events took to clients that were back.
"""

import socket
import subprocess
import tempfile
from collections import Counter

import pytest

from crowd import Client, Publisher
from ledger import Ledger
from measured import HOST, IS_LONG, PATIENCE_S
from operated import Operated, wait_until
from pace import check_rate
from talkers import Talk, Talker, join, run_for

pytestmark = pytest.mark.alone

CLIENTS = 5_000 if IS_LONG else 500
RATE = 1_000
SHARDS = 2
CHANNELS = [f"held-{number}" for number in range(10)]
ROOMS = [f"private-room-{number}" for number in range(5)]
PUBLISHES_PER_SECOND = 50
CONNECTING_MAX = 200
GONE_S = 0.3
# A machine with nothing to spare delivers within this time.
DELIVERY_S_MAX = 2.0
RESTARTING = "4100 Server is restarting"


class Activated(Operated):
    """A server whose public socket is passed to it."""

    held = None

    def _spawn(self, port):
        if self.held is None:
            self.held = socket.create_server((HOST, port), backlog=4096)
        self.port = port
        self.config.write_text(self.text())
        self.log = tempfile.TemporaryFile("w+")
        script = 'exec 3<&0 0</dev/null; LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=public exec "$@"'
        served = [self.binary, "serve", "--config", str(self.config), *self.arguments]
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "sh", "-c", script, "sh", *served],
            stdin=self.held,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            env=self.environment,
        )

    def close(self):
        super().close()
        self.held.close()


def test_a_restart_by_socket_activation_loses_nobody_and_no_hook(receive, ends, gather, tmp_path):
    receiver = receive()
    endpoint = {"name": "backend", "url": receiver.url, "batch_ms": 20}
    server = Activated(tmp_path, [endpoint], arguments=["--drain-rate", str(RATE)], shards=SHARDS)
    ends.append(server)
    crowd = gather(server)
    clients = everybody(crowd)
    speakers, listeners = ([Talker(crowd, room) for room in ROOMS] for _ in range(2))
    join(crowd, *speakers, *listeners)
    talk = Talk(crowd, speakers, per_second=200)
    run_for(crowd, 0.5)

    begun = crowd.now
    server.process.terminate()
    has_ended = lambda: server.process.poll() is not None
    crowd.run_until(has_ended, PATIENCE_S + CLIENTS / RATE, "the end of the server")
    assert server.process.returncode == 0, server.output()
    talk.stop()
    # Those who come now find nobody, and wait.
    run_for(crowd, GONE_S)
    server.start()
    publisher = Publisher(crowd, CHANNELS, PUBLISHES_PER_SECOND)
    crowd.run_until(lambda: all(it.life.subscribed for it in clients), PATIENCE_S, "all to be back")
    back_s = crowd.now - begun
    run_for(crowd, 1)

    lives = Counter(life.end for it in clients for life in it.lives)
    assert set(lives) == {RESTARTING, None} and lives[None] == CLIENTS, lives
    check_rate(clients, begun, RATE, SHARDS)
    assert server.total("corecast_connected") == CLIENTS
    heard = {word for it in listeners for word, _ in it.seen()}
    ledger = Ledger(receiver)
    wait_until(lambda: not ledger.read().missing(heard), lambda: f"{ledger.missing(heard)} of {len(heard)} words")
    assert len(heard) >= 50, f"only {len(heard)} words were heard"
    assert publisher.end is None and not publisher.refused, (publisher.end, publisher.refused)
    tell_of_deliveries(clients, publisher, crowd)
    again = lives[RESTARTING] - CLIENTS
    print(f"{CLIENTS} clients were back after {back_s:.2f} s; {again} attempts before the end were told to come back")
    server.end(PATIENCE_S + CLIENTS / RATE)


def everybody(crowd):
    """All clients, subscribed, on each channel as many."""
    clients = []

    def next_ones():
        waiting = sum(not client.life.subscribed for client in clients)
        for number in range(len(clients), min(CLIENTS, len(clients) + CONNECTING_MAX - waiting)):
            clients.append(Client(crowd, CHANNELS[number % len(CHANNELS)], comes_back=True))
        return waiting == 0 and len(clients) == CLIENTS

    crowd.run_until(next_ones, PATIENCE_S, "all to be subscribed")
    return clients


def tell_of_deliveries(clients, publisher, crowd):
    """How long events of the successor took, from when they were sent to when they came: at least, and at most, as far as
    the loop knows."""
    spans = [
        (span.after - asked, span.before - asked)
        for client in clients
        for it, span in client.life.messages()
        if it["event"] == "e"
        for asked in [publisher.asked[int(it["data"])]]
    ]
    assert len(spans) >= CLIENTS, f"only {len(spans)} deliveries"
    p99 = [sorted(ends)[int(0.99 * (len(ends) - 1))] for ends in zip(*spans)]
    print(
        f"\n{len(spans)} deliveries: p99 from {1_000 * max(0, p99[0]):.1f} to {1_000 * p99[1]:.1f} ms; "
        f"the loop was late by {1_000 * crowd.late_s_max:.0f} ms at most"
    )
    assert p99[0] <= DELIVERY_S_MAX, f"p99 of deliveries is {p99[0]:.2f} s"
