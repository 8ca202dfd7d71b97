"""A WebSocket connection that speaks the Pusher Channels protocol, version 7, by itself.

There is no client SDK for Python that is kept up, so the tests read the frames as they are: this also shows that `data`
is a JSON string in every frame of the server but `pusher:error`. How many are subscribed to a channel is skipped, unless
it is what a test waits for: it comes whenever somebody comes or goes.
"""

import json

import websocket

from server import HOST, KEY

COUNT = "pusher_internal:subscription_count"

WAIT_S_MAX = 15


class Connection:
    """A connection that has its socket_id. `signer` is a `pusher.Pusher`, and signs its subscriptions."""

    def __init__(self, server, signer, key=KEY, host=HOST):
        url = f"ws://{host}:{server.port}/app/{key}?protocol=7&client=corecast-tests&version=1.0"
        self.socket = websocket.create_connection(url, timeout=WAIT_S_MAX)
        self.signer = signer
        established = self.frame("pusher:connection_established")
        self.socket_id = json.loads(established["data"])["socket_id"]

    def subscribe(self, channel, member=None):
        """Subscribes and returns the data of `subscription_succeeded`."""
        data = {"channel": channel, "auth": ""}
        if channel.startswith(("private-", "presence-")):
            data.update(self.signer.authenticate(channel, self.socket_id, member))
        self.send("pusher:subscribe", data)
        return json.loads(self.frame("pusher_internal:subscription_succeeded", channel)["data"])

    def unsubscribe(self, channel):
        self.send("pusher:unsubscribe", {"channel": channel})

    def send(self, event, data, channel=None):
        message = {"event": event, "data": data}
        if channel is not None:
            message["channel"] = channel
        self.socket.send(json.dumps(message))

    def frame(self, event, channel=None):
        """The next frame, which must be of this event (and channel)."""
        frame = json.loads(self.socket.recv())
        while frame["event"] == COUNT != event:
            frame = json.loads(self.socket.recv())
        assert frame["event"] == event, f"got {frame}, not {event}"
        if channel is not None:
            assert frame["channel"] == channel, f"got {frame}, not one of {channel}"
        if event != "pusher:error":
            assert isinstance(frame["data"], str), f"data is no string in {frame}"
        return frame

    def close(self):
        self.socket.close()
