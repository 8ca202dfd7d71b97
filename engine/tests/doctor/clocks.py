"""A Redis whose clock is wrong: a real one, behind a door that changes what it says of the time."""

import re
import socket
import threading

from measured import HOST, free_port

# Seconds of ten digits, then microseconds.
TIME = re.compile(rb"\*2\r\n\$10\r\n(\d{10})\r\n(?=\$\d\r\n\d{1,6}\r\n)")


class WrongClock:
    """Passes bytes on in both directions; times that come back are ahead by so many seconds."""

    def __init__(self, redis, ahead_s):
        self.redis, self.ahead_s = redis, ahead_s
        self.port = free_port()
        self.listener = socket.create_server((HOST, self.port))
        threading.Thread(target=self.accept, daemon=True).start()

    @property
    def url(self):
        return f"redis://{HOST}:{self.port}/"

    def accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            far = socket.create_connection((HOST, self.redis.port))
            threading.Thread(target=pass_on, args=(near, far, bytes), daemon=True).start()
            threading.Thread(target=pass_on, args=(far, near, self.shifted), daemon=True).start()

    def shifted(self, answer):
        return TIME.sub(lambda found: b"*2\r\n$10\r\n%d\r\n" % (int(found[1]) + self.ahead_s), answer)

    def close(self):
        self.listener.close()


def pass_on(source, sink, changed):
    """An answer of Redis to one question comes in one piece here."""
    try:
        while piece := source.recv(65_536):
            sink.sendall(changed(piece))
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass
