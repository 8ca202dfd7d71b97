"""A client that goes where it is sent: at once after 4200, after a second after 4100, to any node that takes it."""

import json
import struct
import threading
import time

import websocket

from connection import Connection

CLOSE_OPCODE, TEXT_OPCODE = 8, 1


class Roamer:
    """A member of a room that hears what is published on a channel, in one life after another."""

    def __init__(self, nodes, user, room, channel):
        self.nodes, self.user, self.room, self.channel = nodes, user, room, channel
        self.codes, self.lives, self.is_in, self.ends = [], [], False, False
        self.failures = []
        self.connection = None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        turn = hash(self.user)
        while not self.ends:
            nodes = list(self.nodes)
            node, turn = nodes[turn % len(nodes)], turn + 1
            try:
                self._live(node)
            except (OSError, websocket.WebSocketException, AssertionError, ValueError) as error:
                self.failures.append(error)
                time.sleep(0.1)
            self.is_in = False

    def _live(self, node):
        self.connection = Connection(node, node.sdk)
        self.connection.socket.settimeout(None)
        signed = node.sdk.authenticate(self.room, self.connection.socket_id, {"user_id": self.user, "user_info": {}})
        for data in ({"channel": self.channel}, {"channel": self.room, **signed}):
            self.connection.send("pusher:subscribe", data)
        # What was said on the channel, and who came (+) and went (-) in the room.
        said, edges = [], {}
        self.lives.append((said, edges))
        while True:
            opcode, payload = self.connection.socket.recv_data()
            if opcode == CLOSE_OPCODE:
                self.codes.append(struct.unpack("!H", payload[:2])[0])
                time.sleep(0 if self.codes[-1] == 4200 else 1)
                return
            if opcode == TEXT_OPCODE:
                self._take(json.loads(payload), said, edges)

    def _take(self, frame, said, edges):
        match frame["event"]:
            case "said":
                said.append(int(json.loads(frame["data"])))
            case "pusher:ping":
                self.connection.send("pusher:pong", {})
            case "pusher_internal:subscription_succeeded":
                self.is_in = self.is_in or frame["channel"] == self.room
            case "pusher_internal:member_added" | "pusher_internal:member_removed" as event:
                user = json.loads(frame["data"])["user_id"]
                edges[user] = edges.get(user, "") + ("+" if event.endswith("added") else "-")

    def close(self):
        self.ends = True
        if self.connection:
            try:
                self.connection.socket.shutdown()
            except OSError:
                pass
