"""An endpoint for webhooks that writes down what it is sent, and can be told to misbehave.

Every attempt is kept, accepted or not, with its place in the one order in which they came. An attempt counts as accepted
before the answer is written: a server that does not get to read it must come again, with the same ids.
"""

import contextlib
import hashlib
import hmac
import json
import socket
import ssl
import struct
import subprocess
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from measured import HOST, SECRET, free_port

LONG_BODY = b"x" * 65_536
HANDSHAKE_S = 1.0


@dataclass
class Attempt:
    """One POST."""

    came: float
    path: str
    headers: dict
    body: bytes
    # Whether it is answered with success; None: the answer breaks the rules, so both are right.
    accepted: bool | None

    @property
    def events(self):
        return json.loads(self.body)["events"]


class Receiver:
    """Listens on one port for as long as it is open. What it does with a POST is its `behaviour`."""

    def __init__(self, certificate=None):
        self.port = free_port()
        self.context = None
        if certificate:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(certificate)
        self.attempts, self.wandered = [], []
        self.lock = threading.Lock()
        self.behaviour = accept
        # Set when handlers that hang may go on.
        self.released = threading.Event()
        self.http = None
        self.open()

    @property
    def url(self):
        return f"{'https' if self.context else 'http'}://{HOST}:{self.port}/hooks"

    def open(self):
        self.http = Listener(self)
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self):
        """From now on connections are refused, and those that are there are reset."""
        if self.http:
            self.http.shutdown()
            self.http.server_close()
            self.http.reset_all()
            self.http = None

    @contextlib.contextmanager
    def behaving(self, behaviour):
        """Misbehaves inside the block."""
        self.released.clear()
        if behaviour is refuse:
            self.close()
        self.behaviour = behaviour
        try:
            yield
        finally:
            self.behaviour = accept
            self.released.set()
            if self.http is None:
                self.open()

    def events(self):
        """Every event that was accepted or may have been, as often as it was, with when it came."""
        with self.lock:
            attempts = list(self.attempts)
        return [(it.came, event) for it in attempts if it.accepted is not False for event in it.events]

    def is_signed(self, attempt):
        wanted = hmac.new(SECRET.encode(), attempt.body, hashlib.sha256).hexdigest()
        return hmac.compare_digest(wanted, attempt.headers.get("x-pusher-signature", ""))


class Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, receiver):
        self.receiver, self.peers = receiver, set()
        super().__init__((HOST, receiver.port), Handler)

    def process_request(self, request, client_address):
        self.peers.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request):
        self.peers.discard(request)
        super().shutdown_request(request)

    def reset_all(self):
        for peer in list(self.peers):
            reset_socket(peer)

    def handle_error(self, request, client_address):
        """Peers that go away while they are answered are what the tests are about."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self):
        context = self.server.receiver.context
        if context:
            time.sleep(HANDSHAKE_S)
            self.request = context.wrap_socket(self.request, server_side=True)
        super().setup()

    def do_POST(self):
        self.server.receiver.behaviour(self, self.server.receiver)

    def do_GET(self):
        self.server.receiver.wandered.append(self.path)
        self.answer(200)

    def take(self, receiver, accepted):
        """Reads the whole request, writes it down and returns that. `accepted` may depend on it."""
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path.startswith("/elsewhere"):
            receiver.wandered.append(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        attempt = Attempt(time.monotonic(), self.path, headers, body, accepted)
        if callable(accepted):
            attempt.accepted = accepted(attempt)
        with receiver.lock:
            receiver.attempts.append(attempt)
        return attempt

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in {"Content-Length": len(body), **headers}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Nothing: what came is in the attempts."""


# ---- behaviours -------------------------------------------------------------------------------------------------------


def accept(handler, receiver):
    handler.take(receiver, True)
    handler.answer(200, b"{}")


def refuse(handler, receiver):
    """Nobody listens; this is for connections that came a moment before."""
    reset_socket(handler.connection)


def fail(handler, receiver):
    handler.take(receiver, False)
    handler.answer(500, b"the database is down")


def redirect(handler, receiver):
    handler.take(receiver, False)
    handler.answer(301, Location=f"{receiver.url.replace('/hooks', '/elsewhere')}")


def hang(handler, receiver):
    handler.take(receiver, False)
    handler.close_connection = True
    receiver.released.wait()


def reset(handler, receiver):
    """In the middle of the request's body."""
    handler.rfile.read(10)
    reset_socket(handler.connection)


def never_end(handler, receiver):
    """A success whose body has no end, as fast as it is read."""
    handler.take(receiver, None)
    handler.close_connection = True
    handler.send_response(200)
    handler.end_headers()
    with contextlib.suppress(OSError):
        while not receiver.released.is_set():
            handler.wfile.write(LONG_BODY)


def drip(handler, receiver):
    """A failure whose body has no end, a byte now and then."""
    handler.take(receiver, False)
    handler.close_connection = True
    handler.send_response(503)
    handler.end_headers()
    with contextlib.suppress(OSError):
        while not receiver.released.wait(0.1):
            handler.wfile.write(b"x")


def reset_socket(peer):
    with contextlib.suppress(OSError):
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()


# ---- TLS --------------------------------------------------------------------------------------------------------------


def make_certificates(directory):
    """An authority of our own and a certificate of it for this host. Returns the authority's file and the host's."""
    authority, host = directory / "authority.pem", directory / "host.pem"
    key, request = directory / "host.key", directory / "host.csr"
    names = directory / "names"
    names.write_text(f"subjectAltName=IP:{HOST}\n")
    key_of = lambda path: ["-newkey", "rsa:2048", "-nodes", "-keyout", str(path)]
    openssl("req", "-x509", *key_of(directory / "authority.key"), "-out", authority, "-days", "1", "-subj", "/CN=tests")
    openssl("req", *key_of(key), "-out", request, "-subj", f"/CN={HOST}")
    by = ["-CA", authority, "-CAkey", directory / "authority.key", "-CAcreateserial"]
    openssl("x509", "-req", "-in", request, *by, "-out", host, "-days", "1", "-extfile", names)
    host.write_text(host.read_text() + key.read_text())
    return authority, host


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
