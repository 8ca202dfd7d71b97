"""Clients that give hooks something to tell: they subscribe, join, leave, and say numbers to each other.

What they have sent and seen is the only measure of what an endpoint must be told; the server is not asked.
"""

import hashlib
import hmac
import itertools
import json

from crowd import Client
from hostile import text
from measured import KEY, SECRET

SAID = "client-said"


class Talker(Client):
    """Is subscribed to one channel, under a user's name if that is a presence channel. `name` is part of all it says, so
    nothing is ever said twice."""

    names = itertools.count()

    def __init__(self, crowd, channel, user=None):
        self.user, self.name = user, f"t{next(self.names)}"
        self.said = []
        self.socket_id = None
        super().__init__(crowd, channel)

    def proceed(self):
        if not self.upgraded and b"pusher:connection_established" in self.life.heard:
            established = next(self.life.messages(), None)
            if established is None:
                return
            self.upgraded = True
            self.socket_id = json.loads(established[0]["data"])["socket_id"]
            self.socket.send(text(json.dumps({"event": "pusher:subscribe", "data": self.signed()})))
        self.life.subscribed = b"pusher_internal:subscription_succeeded" in self.life.heard

    def signed(self):
        """The data of the subscription."""
        asked = {"channel": self.channel}
        if not self.channel.startswith(("private-", "presence-")):
            return asked
        parts = [self.socket_id, self.channel]
        if self.user:
            asked["channel_data"] = json.dumps({"user_id": self.user, "user_info": {"name": self.user.upper()}})
            parts.append(asked["channel_data"])
        signature = hmac.new(SECRET.encode(), ":".join(parts).encode(), hashlib.sha256).hexdigest()
        return {**asked, "auth": f"{KEY}:{signature}"}

    @property
    def talks(self):
        return self.life.subscribed and self.life.end is None

    def say(self):
        """Says its next number, with when that was. Nothing, if it is not connected."""
        if not self.talks:
            return
        word = f"{self.name}/{len(self.said)}"
        message = text(json.dumps({"event": SAID, "channel": self.channel, "data": word}))
        try:
            if self.socket.send(message) == len(message):
                self.said.append((word, self.crowd.now))
        except BlockingIOError:
            pass
        except OSError as error:
            self.end(error.errno)

    def leave(self):
        """Unsubscribes and stays connected."""
        self.socket.send(text(json.dumps({"event": "pusher:unsubscribe", "data": {"channel": self.channel}})))
        self.life.subscribed = False

    def hang_up(self):
        if self.life.end is None:
            self.life.end = "hung up"
            self.drop()

    def seen(self):
        """What others said, with when it was seen at the latest."""
        return [(it["data"], span.before) for it, span in self.life.messages() if it["event"] == SAID]

    def subscribed_at(self):
        """When it saw that it is subscribed, at the latest; None if it never did."""
        for it, span in self.life.messages():
            if it["event"] == "pusher_internal:subscription_succeeded":
                return span.before
        return None


class Talk:
    """Talkers that say their numbers in turn, as many a second as are asked for."""

    def __init__(self, crowd, talkers, per_second):
        self.crowd, self.talkers = crowd, talkers
        self.goes_on = True
        turns = itertools.cycle(talkers)
        at_once = max(1, round(per_second / 100))

        def speak():
            for _ in range(at_once if self.goes_on else 0):
                next(turns).say()
            return self.goes_on

        crowd.every(at_once / per_second, speak)

    def stop(self):
        self.goes_on = False

    def said(self):
        """All words, with when they were said."""
        return {word: when for talker in self.talkers for word, when in talker.said}


def join(crowd, *talkers, patience_s=20):
    """Waits until all of them are subscribed."""
    crowd.run_until(lambda: all(it.life.subscribed for it in talkers), patience_s, "all to be subscribed")


def run_for(crowd, seconds):
    """Lets them talk."""
    crowd.run_until(lambda end=crowd.now + seconds: crowd.now >= end, seconds + 20, "time to pass")
