"""`corecast top` against a live server, as an operator runs it: in a terminal, and for scripts."""

import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from fcntl import ioctl

import pyte
from measured import APP_ID, BINARY, HOST, free_port

from churners import PATIENCE_S, Churner

def quiet_environment(**more):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CORECAST_")}
    return {**kept, "TERM": "xterm-256color", **more}


def once(*arguments, **environment):
    return subprocess.run(
        [BINARY, "top", "--once", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=quiet_environment(**environment),
    )


class Screen:
    """A terminal of this size with `corecast top` in it."""

    def __init__(self, *arguments, rows=24, columns=100, **environment):
        # What it has written at all, and what can be seen of it.
        self.written, self.shown = "", pyte.Screen(columns, rows)
        self.stream = pyte.ByteStream(self.shown)
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.execve(BINARY, [BINARY, "top", *arguments], quiet_environment(**environment))
        self.resize(rows, columns)

    def resize(self, rows, columns):
        ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.shown.resize(rows, columns)

    def press(self, keys):
        os.write(self.terminal, keys.encode())

    def wait_for(self, *words):
        """Until all of these can be seen."""
        end = time.monotonic() + PATIENCE_S
        while not all(word in self.text() for word in words):
            assert time.monotonic() < end, f"{words} are not there: {self.text()}"
            self.read(0.2)

    def text(self):
        return "\n".join(line.rstrip() for line in self.shown.display)

    def read(self, seconds):
        """Returns false at the end."""
        if select.select([self.terminal], [], [], seconds)[0]:
            try:
                written = os.read(self.terminal, 1 << 16)
            except OSError:
                return False
            self.stream.feed(written)
            self.written += written.decode(errors="replace")
        return True

    def end(self):
        """How it ends by itself, and what it wrote at last."""
        end = time.monotonic() + PATIENCE_S
        while self.read(0.2):
            assert time.monotonic() < end, "it goes on"
        _, status = os.waitpid(self.pid, 0)
        os.close(self.terminal)
        return os.waitstatus_to_exitcode(status), self.written


def test_it_shows_a_server_in_a_terminal_and_leaves_that_as_it_was(start):
    server = start(shards=2)
    clients = [Churner(server.port, APP_ID) for _ in range(3)]
    screen = Screen("--url", f"http://{HOST}:{server.admin}")
    screen.wait_for("corecast top", "shard-0", "shard-1", "api", "fan-out")
    assert "\x1b[?1049h" in screen.written, "it takes a screen of its own"
    screen.press("\t")
    screen.wait_for("subscriptions", APP_ID)
    screen.press("\x1b[C")
    screen.wait_for("channel")
    screen.wait_for("corecast top", "only with a token")
    # A new size draws all of it anew.
    screen.shown.reset()
    screen.resize(30, 60)
    screen.wait_for("corecast top")
    screen.press("q")
    code, last = screen.end()
    assert code == 0 and "\x1b[?1049l" in last, last
    for client in clients:
        client.close()


def test_without_colours_nothing_is_coloured(start):
    server = start()
    screen = Screen("--url", f"http://{HOST}:{server.admin}", NO_COLOR="1")
    screen.wait_for("shard-0", "quit")
    colours = [code for code in re.findall(r"\x1b\[([0-9;]*)m", screen.written) if re.search(r"(?:^|;)[34]8;|(?:^|;)[349][0-7](?:;|$)", code)]
    assert not colours, colours
    os.kill(screen.pid, signal.SIGKILL)
    screen.end()


def test_once_is_a_screen_of_plain_text(start):
    server = start(shards=2)
    client = Churner(server.port, APP_ID)
    client.subscribe("a", None)
    done = once("--url", f"http://{HOST}:{server.admin}/", COLUMNS="120")
    assert done.returncode == 0, done
    assert "\x1b" not in done.stdout and max(len(line) for line in done.stdout.splitlines()) <= 120
    for words in ("connections 1", "shard-0", "shard-1", "api", "only with a token"):
        assert words in done.stdout, done.stdout
    [app] = [line for line in done.stdout.splitlines() if line.startswith(APP_ID)]
    assert app.split()[:3] == [APP_ID, "1", "1"], done.stdout
    client.close()


def test_what_is_wrong_is_said_in_a_line(start, tmp_path):
    nobody = once("--url", f"http://{HOST}:{free_port()}")
    assert nobody.returncode == 1 and "no answer from" in nobody.stderr, nobody
    assert once("--url", "localhost:9601").returncode == 78
    missing = once("--token-file", str(tmp_path / "none"))
    assert missing.returncode == 78 and "the token cannot be read" in missing.stderr, missing
    piped = subprocess.run(
        [BINARY, "top"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False, env=quiet_environment()
    )
    assert piped.returncode == 78 and "--once" in piped.stderr, piped
    server = start()
    off = once("--url", f"http://{HOST}:{server.admin}", CORECAST_ADMIN_TOKEN="a-token-that-nobody-has-set")
    assert off.returncode == 1 and "has no console" in off.stderr, off


def test_with_the_token_it_reads_the_stream_of_the_console(start, tmp_path):
    token, wrong = tmp_path / "token", tmp_path / "wrong"
    token.write_text("a-token-that-is-long-enough-for-this\n")
    wrong.write_text("a-token-that-is-not-the-one-of-this\n")
    for file in (token, wrong):
        file.chmod(0o600)
    server = start("--admin-token-file", str(token))
    url = f"http://{HOST}:{server.admin}"
    client = Churner(server.port, APP_ID)
    client.subscribe("a-channel", None)
    done = once("--url", url, "--token-file", str(token))
    assert done.returncode == 0 and "only with a token" not in done.stdout, done
    for words in ("connections 1", "shard-0", "api", APP_ID):
        assert words in done.stdout, done.stdout
    screen = Screen("--url", url, CORECAST_ADMIN_TOKEN=token.read_text())
    screen.wait_for("shard-0", "fan-out")
    screen.press("q")
    assert screen.end()[0] == 0
    refused = once("--url", url, "--token-file", str(wrong))
    assert refused.returncode == 1 and "refuses the token" in refused.stderr, refused
    client.close()
