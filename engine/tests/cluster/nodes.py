"""A node of a cluster, a client of it, and a proxy that can be between it and its Redis."""

import hashlib
import hmac
import json
import os
import queue
import signal
import socket
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import pusher
import websocket

from connection import Connection
from measured import APP_ID, HOST, KEY, SECRET, Measured

LEASE_S = 3
PATIENCE_S = 20


class Node(Measured):
    """A server that is joined with others by this Redis."""

    def __init__(self, redis, shards, arguments, **how):
        cluster = ["--cluster", redis.url, "--cluster-lease", str(LEASE_S)]
        super().__init__(arguments=[*cluster, *arguments], shards=shards, **how)
        self.sdk = pusher.Pusher(APP_ID, KEY, SECRET, ssl=False, host=HOST, port=self.port, timeout=15)
        self.clients = []

    def connect(self):
        self.clients.append(Client(self))
        return self.clients[-1]

    def wait_until_joined(self):
        wait_until(lambda: self.state() == 2, lambda: f"a session\n{self.output()}")

    def call(self, method, path, params=None, body=None):
        """Status, body and headers of a signed call, whatever it is answered with."""
        body = None if body is None else json.dumps(body).encode()
        params = {"auth_key": KEY, "auth_timestamp": str(int(time.time())), "auth_version": "1.0", **(params or {})}
        if body is not None:
            params["body_md5"] = hashlib.md5(body).hexdigest()
        path = f"/apps/{APP_ID}{path}"
        plain = "&".join(f"{name}={params[name]}" for name in sorted(params))
        signature = hmac.new(SECRET.encode(), f"{method}\n{path}\n{plain}".encode(), hashlib.sha256).hexdigest()
        query = urllib.parse.urlencode({**params, "auth_signature": signature})
        request = urllib.request.Request(f"http://{HOST}:{self.port}{path}?{query}", body, method=method)
        try:
            with urllib.request.urlopen(request, timeout=15) as answer:
                return answer.status, json.load(answer), answer.headers
        except urllib.error.HTTPError as error:
            return error.code, json.load(error), error.headers

    def state(self):
        """Of its session: 2 is up, 1 holding, 0 none."""
        return sum(value for name, value in self.metrics().items() if "bus_session_state" in name)

    def sessions_lost(self):
        return sum(value for name, value in self.metrics().items() if "bus_sessions_lost_total" in name)

    def degraded(self):
        """What /ready says is degraded; it must say ready all the time."""
        with urllib.request.urlopen(f"http://{HOST}:{self.port}/ready", timeout=5) as answer:
            return json.load(answer).get("degraded")

    def live(self):
        try:
            return urllib.request.urlopen(f"http://{HOST}:{self.port}/live", timeout=5).status == 200
        except urllib.error.URLError:
            return False

    def pause(self):
        os.kill(self.process.pid, signal.SIGSTOP)

    def go_on(self):
        os.kill(self.process.pid, signal.SIGCONT)

    def kill(self):
        self._kill()

    def close(self):
        for client in self.clients:
            client.close()
        if self.process.poll() is None:
            self.go_on()
            self._kill()


class Client:
    """A connection whose frames are read as they come, on a thread of its own."""

    def __init__(self, node):
        self.node = node
        self.connection = Connection(node, node.sdk)
        self.socket_id = self.connection.socket_id
        self.connection.socket.settimeout(None)
        self.frames, self.closed = [], None
        self.counts = {}
        self.news = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        try:
            while True:
                text = self.connection.socket.recv()
                if not text:
                    self.closed = "closed by the server"
                    return
                frame = json.loads(text)
                if frame["event"] == "pusher:ping":
                    self.connection.send("pusher:pong", {})
                elif "subscription_count" in frame["event"]:
                    self.counts[frame["channel"]] = json.loads(frame["data"])["subscription_count"]
                else:
                    self.frames.append(frame)
        except (OSError, websocket.WebSocketException) as error:
            self.closed = error

    def asking_for(self, channel, user=None):
        member = {"user_id": user, "user_info": {"name": user}} if user else None
        data = {"channel": channel, "auth": ""}
        if channel.startswith(("private-", "presence-")):
            data.update(self.node.sdk.authenticate(channel, self.socket_id, member))
        return data

    def subscribe(self, channel, user=None):
        """Subscribes, and returns the data of subscription_succeeded."""
        self.connection.send("pusher:subscribe", self.asking_for(channel, user))
        [data] = self.wait_for("pusher_internal:subscription_succeeded", channel)
        return json.loads(data)

    def sign_in(self, user, watchlist=()):
        signed = self.node.sdk.authenticate_user(self.socket_id, {"id": user, "watchlist": list(watchlist)})
        self.connection.send("pusher:signin", signed)
        wait_until(lambda: any(f["event"] == "pusher:signin_success" for f in self.frames), "the sign-in")
        self.subscribe(f"#server-to-user-{user}")

    def watched(self):
        """What it was told of the users on its watchlist, in order."""
        told = [event for data in self.heard("pusher_internal:watchlist_events", None)
                for event in json.loads(data)["events"]]
        return [f"{event['name']} {user}" for event in told for user in event["user_ids"]]

    def unsubscribe(self, channel):
        self.connection.unsubscribe(channel)

    def heard(self, event, channel):
        """The data of all such frames so far."""
        return [f["data"] for f in self.frames if f["event"] == event and f.get("channel") == channel]

    def wait_for(self, event, channel, count=1):
        wait_until(
            lambda: len(self.heard(event, channel)) >= count,
            lambda: f"{count} {event} on {channel}: {self.frames}\n{self.node.output()}",
        )
        return self.heard(event, channel)

    def joined(self, channel):
        """Who was added, and who was removed, in order."""
        events = {"pusher_internal:member_added": "+", "pusher_internal:member_removed": "-"}
        told = [f for f in self.frames if f["event"] in events and f.get("channel") == channel]
        return [events[f["event"]] + json.loads(f["data"])["user_id"] for f in told]

    def close(self):
        try:
            self.connection.close()
        except OSError:
            pass


class Proxy:
    """Stands before a Redis. It can end all connections, or carry nothing more and tell nobody."""

    def __init__(self, redis):
        self.redis, self.sockets, self.stalled = redis, [], threading.Event()
        self.listener = socket.create_server((HOST, 0))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self):
        return f"redis://{HOST}:{self.listener.getsockname()[1]}/"

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection((HOST, self.redis.port))
            except OSError:
                client.close()
                continue
            self.sockets += [client, server]
            for pair in ((client, server), (server, client)):
                threading.Thread(target=self._carry, args=pair, daemon=True).start()

    def _carry(self, here, there):
        try:
            while data := here.recv(1 << 16):
                while self.stalled.is_set():
                    time.sleep(0.01)
                there.sendall(data)
        except OSError:
            pass
        for end in (here, there):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut(self):
        sockets, self.sockets = self.sockets, []
        for end in sockets:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def stall(self):
        self.stalled.set()

    def go_on(self):
        self.stalled.clear()

    def close(self):
        self.listener.close()
        self.go_on()
        self.cut()


def wait_until(holds, what, patience_s=PATIENCE_S):
    end = time.monotonic() + patience_s
    while not holds():
        assert time.monotonic() < end, f"waited in vain for {what() if callable(what) else what}"
        time.sleep(0.02)
