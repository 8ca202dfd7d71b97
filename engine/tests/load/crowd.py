"""Thousands of Pusher clients and one publisher in one epoll loop, which knows how late it may have been itself.

What arrives is stamped with a span: it came after the loop last asked the kernel and found nothing, and before it was
read. So a loop that had no processor makes wide spans, never wrong ones. No bytes are parsed before a connection ends,
but where a close frame may be among them.
"""

import bisect
import errno
import hashlib
import heapq
import hmac
import itertools
import json
import os
import select
import socket
import struct
import time
from dataclasses import dataclass, field
from typing import NamedTuple

from hostile import text, upgrade
from measured import APP_ID, HOST, KEY, SECRET

# The loop asks the kernel at least so often, so no span is wider for want of events.
TURN_S = 0.002
EVENTS_MAX = 1 << 16
# What clients wait after these codes.
PAUSES_S = {4200: 0.0, 4100: 1.0}
CLOSE_OPCODE, TEXT_OPCODE = 8, 1


class Span(NamedTuple):
    """When something came, on the monotonic clock: between these two moments."""

    after: float
    before: float


@dataclass
class Life:
    """One connection of a client, from connect to its end."""

    heard: bytearray = field(default_factory=bytearray)
    # How much was heard after each read, and when that came.
    lengths: list[int] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    subscribed: bool = False
    code: int | None = None
    reason: str = ""
    closed: Span | None = None
    # None: it goes on. Else code and reason of the close frame, `untold`, `reset` or `refused`.
    end: str | None = None

    def messages(self):
        """All text messages, in order, each with when the last byte of it came."""
        for opcode, payload, end in frames(self.heard):
            if opcode == TEXT_OPCODE:
                yield json.loads(payload), self.spans[bisect.bisect_left(self.lengths, end)]


class Crowd:
    """The loop. A client in it is called when the kernel has something for its descriptor."""

    def __init__(self, port):
        self.address = (HOST, port)
        self.poll = select.epoll()
        self.members = {}
        self.timers = []
        self.numbers = itertools.count()
        self.now = self.asked = self.asks = time.monotonic()
        self.late_s_max = 0.0

    def span(self):
        """Of what has just been read."""
        return Span(self.asked, time.monotonic())

    def watch(self, member, descriptor, events):
        self.members[descriptor] = member
        self.poll.register(descriptor, events)

    def forget(self, descriptor):
        del self.members[descriptor]
        self.poll.unregister(descriptor)

    def at(self, due, call):
        heapq.heappush(self.timers, (due, next(self.numbers), call))

    def every(self, seconds, call):
        """Calls again and again, as long as the call returns true."""
        start = self.now

        def again(count):
            if call():
                self.at(start + count * seconds, lambda: again(count + 1))

        again(1)

    def run_until(self, done, patience_s, what):
        end = time.monotonic() + patience_s
        while not done():
            assert self.now < end, f"waited in vain for {what}"
            self.turn()

    def turn(self):
        # From when it was asked, not from when it answered: the loop may lose its processor between the two.
        self.asked, self.asks = self.asks, time.monotonic()
        ready = self.poll.poll(TURN_S, EVENTS_MAX)
        self.now = time.monotonic()
        self.late_s_max = max(self.late_s_max, self.now - self.asked - 2 * TURN_S)
        for descriptor, events in ready:
            member = self.members.get(descriptor)
            if member:
                member.handle(events)
        while self.timers and self.timers[0][0] <= self.now:
            heapq.heappop(self.timers)[2]()

    def close(self):
        for member in list(self.members.values()):
            member.drop()
        self.poll.close()


class Client:
    """Connects, subscribes, listens to the end. One that `comes_back` does so as pusher-js: at once after 4200, a
    second after 4100."""

    def __init__(self, crowd, channel, comes_back=False):
        self.crowd, self.channel, self.comes_back = crowd, channel, comes_back
        self.lives = []
        self.socket = None
        self.connect()

    @property
    def life(self):
        return self.lives[-1]

    def connect(self):
        self.lives.append(Life())
        self.connecting, self.upgraded = True, False
        self.socket = socket.socket()
        self.socket.setblocking(False)
        error = self.socket.connect_ex(self.crowd.address)
        self.crowd.watch(self, self.socket.fileno(), select.EPOLLOUT)
        if error not in (0, errno.EINPROGRESS):
            self.end(error)

    def handle(self, _events):
        try:
            if self.connecting:
                self.begin()
            else:
                self.read()
        except BlockingIOError:
            pass
        except OSError as error:
            self.end(error.errno)

    def begin(self):
        error = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            self.end(error)
            return
        self.connecting = False
        self.crowd.poll.modify(self.socket.fileno(), select.EPOLLIN)
        self.socket.send(upgrade(KEY))

    def read(self):
        chunk = self.socket.recv(1 << 16)
        life = self.life
        life.heard += chunk
        life.lengths.append(len(life.heard))
        life.spans.append(self.crowd.span())
        if not chunk:
            self.end(None)
        elif not life.subscribed and life.code is None:
            self.proceed()
        # No text has that byte; a length may have it.
        if b"\x88" in chunk and life.code is None:
            self.look_for_close()

    def proceed(self):
        heard = self.life.heard
        if not self.upgraded and b"pusher:connection_established" in heard:
            self.upgraded = True
            self.socket.send(text(json.dumps({"event": "pusher:subscribe", "data": {"channel": self.channel}})))
        self.life.subscribed = b"pusher_internal:subscription_succeeded" in heard

    def look_for_close(self):
        life = self.life
        for opcode, payload, _ in frames(life.heard):
            if opcode == CLOSE_OPCODE:
                life.code, life.reason = struct.unpack_from("!H", payload)[0], payload[2:].decode()
                life.closed = life.spans[-1]
                # The answer that the protocol asks for; the server's FIN is waited for.
                self.socket.send(b"\x88\x82\0\0\0\0" + payload[:2])

    def end(self, error):
        life = self.life
        if error:
            life.end = describe(error)
        else:
            life.end = f"{life.code} {life.reason}" if life.code else "untold"
        self.drop()
        if self.comes_back and not error and life.code in PAUSES_S:
            self.crowd.at(self.crowd.now + PAUSES_S[life.code], self.connect)

    def drop(self):
        self.crowd.forget(self.socket.fileno())
        self.socket.close()


class Publisher:
    """Publishes numbers to channels in turn on one connection, each when the one before is answered, until the server
    closes. `asked` has when each was sent, `accepted` the span of each 200, by number."""

    def __init__(self, crowd, channels, per_second):
        self.crowd, self.channels = crowd, channels
        self.sent, self.asked, self.accepted, self.refused = 0, [], {}, []
        self.end = None
        self.heard = b""
        self.waits = False
        self.socket = socket.create_connection(crowd.address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        crowd.watch(self, self.socket.fileno(), select.EPOLLIN)
        crowd.every(1 / per_second, self.publish)

    def publish(self):
        if self.end is None and not self.waits:
            channel = self.channels[self.sent % len(self.channels)]
            try:
                self.asked.append(time.monotonic())
                self.socket.send(post(channel, self.sent))
                self.sent += 1
                self.waits = True
            except OSError as error:
                self.finish(error.errno)
        return self.end is None

    def handle(self, _events):
        try:
            chunk = self.socket.recv(1 << 16)
        except OSError as error:
            self.finish(error.errno)
            return
        self.heard += chunk
        if not chunk:
            self.finish(None)
        elif b"\r\n\r\n" in self.heard:
            self.take_answer()

    def take_answer(self):
        head, _, body = self.heard.partition(b"\r\n\r\n")
        lines = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        if len(body) < int(lines[b"content-length"]):
            return
        self.heard, self.waits = b"", False
        if head.startswith(b"HTTP/1.1 200 "):
            self.accepted[self.sent - 1] = self.crowd.span()
        else:
            self.refused.append(head + body)

    def finish(self, error):
        self.end = describe(error) if error else "closed"
        self.drop()

    def drop(self):
        self.crowd.forget(self.socket.fileno())
        self.socket.close()


def describe(error):
    """EPIPE is what a write into a reset connection gets."""
    names = {errno.ECONNREFUSED: "refused", errno.ECONNRESET: "reset", errno.EPIPE: "reset"}
    return names.get(error) or os.strerror(error)


def frames(heard):
    """Each whole frame behind the answer to the upgrade: its opcode, its payload, and where it ends."""
    at = heard.find(b"\r\n\r\n") + 4
    while len(heard) >= at + 2 and at >= 4:
        opcode, length, at = heard[at] & 15, heard[at + 1], at + 2
        if length >= 126:
            shape = "!H" if length == 126 else "!Q"
            if len(heard) < at + struct.calcsize(shape):
                return
            length, at = struct.unpack_from(shape, heard, at)[0], at + struct.calcsize(shape)
        if len(heard) < at + length:
            return
        at += length
        yield opcode, bytes(heard[at - length : at]), at


def post(channel, number):
    """A signed publish."""
    body = json.dumps({"name": "e", "channels": [channel], "data": str(number)})
    path = f"/apps/{APP_ID}/events"
    md5 = hashlib.md5(body.encode()).hexdigest()
    query = f"auth_key={KEY}&auth_timestamp={int(time.time())}&auth_version=1.0&body_md5={md5}"
    signature = hmac.new(SECRET.encode(), f"POST\n{path}\n{query}".encode(), hashlib.sha256).hexdigest()
    target = f"{path}?{query}&auth_signature={signature}"
    return f"POST {target} HTTP/1.1\r\nHost: h\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
