"""Clients that come and go in every way there is, and what they should make of the server's gauges."""

import hashlib
import hmac
import itertools
import json
import os
import signal
import socket
import struct
import subprocess
import sys
from collections import Counter

import websocket

APPS = {"7001": ("sdk-key", "sdk-secret"), "7002": ("other-key", "other-secret")}
HOST, PATIENCE_S = "127.0.0.1", 20
CHANNELS = ["a", "b", "private-c", "presence-d", "presence-e", "cache-f", "private-cache-g", "presence-cache-h"]
USERS = ["ann", "bob", "cid"]


class Churner:
    """A connection of one app: what it is subscribed to, and as whom."""

    def __init__(self, port, app):
        self.app, self.channels, self.user = app, {}, None
        key = APPS[app][0]
        self.socket = websocket.create_connection(f"ws://{HOST}:{port}/app/{key}?protocol=7", timeout=PATIENCE_S)
        self.socket_id = json.loads(self.hear("pusher:connection_established")["data"])["socket_id"]

    def hear(self, *events, channel=None):
        """The next frame of one of these events; others are passed over."""
        while True:
            frame = json.loads(self.socket.recv())
            if frame["event"] in events and channel in (None, frame.get("channel")):
                return frame

    def say(self, event, data):
        self.socket.send(json.dumps({"event": event, "data": data}))

    def subscribe(self, channel, user):
        data = {"channel": channel}
        if channel.startswith(("private-", "presence-")):
            parts = [self.socket_id, channel]
            if channel.startswith("presence-"):
                data["channel_data"] = json.dumps({"user_id": user})
                parts.append(data["channel_data"])
            data["auth"] = self.sign(":".join(parts))
        self.say("pusher:subscribe", data)
        if channel in self.channels:
            # A second subscription changes nothing, whatever is said to it.
            return self.pong()
        self.hear("pusher_internal:subscription_succeeded", channel=channel)
        self.channels[channel] = user if channel.startswith("presence-") else None

    def subscribe_wrongly(self):
        self.say("pusher:subscribe", {"channel": "private-refused", "auth": f"{APPS[self.app][0]}:00"})
        self.pong()

    def unsubscribe(self, channel):
        self.say("pusher:unsubscribe", {"channel": channel})
        self.channels.pop(channel, None)
        self.pong()

    def sign_in(self, user):
        said = json.dumps({"id": user})
        self.say("pusher:signin", {"auth": self.sign(f"{self.socket_id}::user::{said}"), "user_data": said})
        self.hear("pusher:signin_success")
        self.user = user

    def sign(self, text):
        key, secret = APPS[self.app]
        return f"{key}:{hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()}"

    def pong(self):
        """All that was said before is done."""
        self.say("pusher:ping", {})
        self.hear("pusher:pong")

    def close(self):
        self.socket.close(timeout=PATIENCE_S)

    def hang_up(self):
        self.socket.sock.close()

    def half_close(self):
        """Says nothing more, and goes on listening."""
        self.socket.sock.shutdown(socket.SHUT_WR)

    def reset(self):
        linger = struct.pack("ii", 1, 0)
        self.socket.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.socket.sock.close()


class Doomed:
    """A process with some connections, which is killed."""

    def __init__(self, port, app, channels):
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", sys.executable, __file__, str(port), app, *channels],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout.readline() == "subscribed\n"
        self.app, self.channels, self.user = app, {channel: None for channel in channels}, None

    def kill(self):
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Model:
    """What the gauges must be with these clients."""

    def __init__(self):
        self.clients, self.half_open = [], []
        self.numbers = itertools.count()

    def gauges(self):
        apps = Counter(client.app for client in self.clients)
        subscriptions = Counter()
        occupied = Counter()
        channels, members = set(), set()
        for client in self.clients:
            subscriptions[client.app] += len(client.channels)
            for channel, user in client.channels.items():
                channels.add((client.app, channel))
                if user:
                    members.add((client.app, channel, user))
        for app, _ in channels:
            occupied[app] += 1
        expected = {
            "corecast_connections": len(self.clients),
            "corecast_subscriptions": sum(subscriptions.values()),
            "corecast_channels": len(channels),
            "corecast_members": len(members),
            "corecast_signed_in": sum(1 for client in self.clients if client.user),
            "corecast_half_open": len(self.half_open),
        }
        for app in APPS:
            label = f'{{app_id="{app}"}}'
            expected[f"corecast_connected{label}"] = apps[app]
            expected[f"corecast_app_subscriptions{label}"] = subscriptions[app]
            expected[f"corecast_app_channels{label}"] = occupied[app]
        return expected


def read(server, names):
    """These gauges of the server: those without labels are summed over all samples."""
    samples = server.metrics()
    sums = Counter()
    for name, value in samples.items():
        sums[name.split("{")[0]] += value
    return {name: samples[name] if "{" in name else sums[name] for name in names}


if __name__ == "__main__":
    doomed = [Churner(int(sys.argv[1]), sys.argv[2])]
    for name in sys.argv[3:]:
        doomed[0].subscribe(name, None)
    print("subscribed", flush=True)
    signal.pause()
