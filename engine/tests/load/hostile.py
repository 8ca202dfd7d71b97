"""Clients that mean harm: `hostile.py NAME PORT KEY` attacks the server at the port until it is killed.

Each goes for one limit. They are paced: what is tested is the server, not how the attacker and the measuring clients
share a processor. An attack that the server does not even notice is no attack, so each prints `under way`
once its first harm is done.
"""

import os
import select
import socket
import struct
import sys
import time

HOST = "127.0.0.1"
SECOND = 1.0


def connect(port, receive_buffer=None):
    peer = socket.socket()
    if receive_buffer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        # Segments of loopback are so large that the kernel alone would take megabytes for one that reads nothing.
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1_460)
    peer.connect((HOST, port))
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return peer


def upgrade(key):
    return (
        f"GET /app/{key}?protocol=7 HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    ).encode()


def header(length, first=0x81):
    """Of a masked frame; the mask is zeros, so payloads go as they are."""
    if length < 126:
        return struct.pack("!BBI", first, 0x80 | length, 0)
    if length < 65_536:
        return struct.pack("!BBHI", first, 0x80 | 126, length, 0)
    return struct.pack("!BBQI", first, 0x80 | 127, length, 0)


def text(message):
    payload = message.encode()
    return header(len(payload)) + payload


def client(port, key, **how):
    """A connection that has sent its upgrade and read the whole answer."""
    peer = connect(port, **how)
    peer.sendall(upgrade(key))
    answer = b""
    while b"connection_established" not in answer:
        more = peer.recv(4096)
        assert more, f"refused: {answer}"
        answer += more
    return peer


def send(peer, data):
    """Whether the server still takes it."""
    try:
        peer.sendall(data)
        return True
    except OSError:
        return False


def under_way():
    print("under way", flush=True)


def slowloris(port, key):
    """Heads that never end, a byte of each every half second; those that are cut off come again."""
    head = b"GET /" + b"a" * 4_000
    peers = [[connect(port), 0] for _ in range(400)]
    under_way()
    while True:
        started = time.monotonic()
        for entry in peers:
            if not send(entry[0], head[entry[1] : entry[1] + 1]):
                entry[0].close()
                entry[:] = [connect(port), 0]
            entry[1] += 1
        time.sleep(max(0.05, SECOND / 2 - (time.monotonic() - started)))


def bytewise(port, key):
    """Everything a byte at a time: upgrade, subscription, pings."""
    talk = upgrade(key) + text('{"event":"pusher:subscribe","data":{"channel":"bytewise"}}')
    talk += text('{"event":"pusher:ping","data":{}}') * 3
    while True:
        peers = [connect(port) for _ in range(20)]
        for at in range(len(talk)):
            for peer in peers:
                send(peer, talk[at : at + 1])
            time.sleep(0.005)
        under_way()
        for peer in peers:
            peer.close()


def huge_head(port, key):
    """Heads of 20 MB, as fast as the server reads them, five a second."""
    while True:
        peer = connect(port)
        alive = send(peer, b"GET / HTTP/1.1\r\n")
        line = b"X-Long: " + b"a" * 65_000 + b"\r\n"
        for _ in range(20_000_000 // len(line)):
            alive = alive and send(peer, line)
        assert not alive, "a head of 20 MB was read"
        peer.close()
        under_way()
        time.sleep(SECOND / 5)


def half_open(port, key):
    """As many silent connections as descriptors allow; those that are cut off are made again, 1,000 a second."""
    peers = []
    poll = select.epoll()
    by_descriptor = {}
    at_once = 500
    while True:
        for _ in range(min(at_once, 19_500 - len(by_descriptor))):
            try:
                peer = connect(port)
            except OSError:
                break
            by_descriptor[peer.fileno()] = peer
            poll.register(peer, select.EPOLLIN | select.EPOLLHUP)
        for descriptor, _ in poll.poll(0):
            poll.unregister(descriptor)
            by_descriptor.pop(descriptor).close()
            peers.append(descriptor)
        if len(peers) + len(by_descriptor) >= 19_500:
            at_once = 50
            under_way()
        time.sleep(0.05)


def huge_frame(port, key):
    """Frames of 10 MB, announced and sent, ten a second."""
    while True:
        peer = client(port, key)
        alive = send(peer, header(10_000_000))
        for _ in range(10_000_000 // 65_536):
            alive = alive and send(peer, b"a" * 65_536)
        assert not alive, "a frame of 10 MB was read"
        peer.close()
        under_way()
        time.sleep(SECOND / 10)


def pipelined(port, key):
    """10,000 frames in one piece, five times a second, and nobody reads the answers."""
    subscribe = text('{"event":"pusher:subscribe","data":{"channel":"pipelined"}}')
    leave = text('{"event":"pusher:unsubscribe","data":{"channel":"pipelined"}}')
    talk = (subscribe + leave) * 5_000
    while True:
        peer = client(port, key)
        peer.setblocking(False)
        sent = 0
        started = time.monotonic()
        while sent < len(talk) and time.monotonic() - started < SECOND:
            try:
                sent += peer.send(talk[sent:])
            except BlockingIOError:
                time.sleep(0.005)
            except OSError:
                break
        peer.close()
        under_way()
        time.sleep(SECOND / 5)


def reset_in_mid_frame(port, key):
    """Connections that are reset in the middle of a frame, 200 a second."""
    while True:
        peer = client(port, key)
        send(peer, text('{"event":"pusher:subscribe","data":{"channel":"reset"}}') + header(100) + b"{")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()
        under_way()
        time.sleep(SECOND / 200)


def stopped_reader(port, key):
    """Fifty subscribers of the measured channel that read nothing; those that are cut off come again."""
    subscribe = text('{"event":"pusher:subscribe","data":{"channel":"loadtest"}}')
    peers = []
    while True:
        while len(peers) < 50:
            peers.append(client(port, key, receive_buffer=4_096))
            send(peers[-1], subscribe)
        under_way()
        time.sleep(SECOND / 4)
        kept = []
        for peer in peers:
            if send(peer, b"\x8a\x80\0\0\0\0"):
                kept.append(peer)
            else:
                peer.close()
        peers = kept


ATTACKS = [
    slowloris,
    bytewise,
    huge_head,
    half_open,
    huge_frame,
    pipelined,
    reset_in_mid_frame,
    stopped_reader,
]


if __name__ == "__main__":
    os.nice(5)
    name, port, key = sys.argv[1:]
    next(attack for attack in ATTACKS if attack.__name__ == name)(int(port), key)
