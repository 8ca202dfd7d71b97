"""What server_event says of a publish: how many subscriptions it went to, without the one that was left out."""

import hashlib
import hmac
import json
import time
import urllib.request

from ledger import Ledger
from measured import APP_ID, HOST, KEY, SECRET
from operated import wait_until
from talkers import Talker, join

ROOM, SUBSCRIBERS = "room", 3


def test_who_is_left_out_is_no_recipient(receive, operate, gather):
    receiver = receive()
    server = operate({"name": "backend", "url": receiver.url, "events": ["server_event"], "batch_ms": 20}, shards=1)
    crowd = gather(server)
    here = [Talker(crowd, ROOM) for _ in range(SUBSCRIBERS)]
    elsewhere = Talker(crowd, "elsewhere")
    join(crowd, *here, elsewhere)
    left_out = [None, here[0].socket_id, elsewhere.socket_id, "1.2", here[1].socket_id]
    for socket_id in left_out:
        publish(server, socket_id)
    ledger = Ledger(receiver)
    told = lambda: [event["recipients"] for _, event in sorted(ledger.read().events.items())]
    wanted = [SUBSCRIBERS - (socket_id in {it.socket_id for it in here}) for socket_id in left_out]
    wait_until(lambda: len(told()) == len(wanted), lambda: f"{wanted}, not {told()}")
    assert told() == wanted


def test_who_is_left_out_on_another_shard_is_no_recipient(receive, operate, gather):
    receiver = receive()
    server = operate({"name": "backend", "url": receiver.url, "events": ["server_event"], "batch_ms": 20}, shards=3)
    crowd = gather(server)
    here = [Talker(crowd, ROOM) for _ in range(4 * SUBSCRIBERS)]
    join(crowd, *here)
    assert len({it.socket_id.partition(".")[0] for it in here}) > 1, "all are on one shard"
    for talker in here:
        publish(server, talker.socket_id)
    ledger = Ledger(receiver)
    told = lambda: [event["recipients"] for event in ledger.read().events.values()]
    wait_until(lambda: len(told()) == len(here), lambda: f"{len(here)} events, not {told()}")
    assert set(told()) == {len(here) - 1}, told()


def publish(server, socket_id):
    event = {"name": "e", "channels": [ROOM], "data": "d", **({"socket_id": socket_id} if socket_id else {})}
    body, path = json.dumps(event).encode(), f"/apps/{APP_ID}/events"
    md5 = hashlib.md5(body).hexdigest()
    query = f"auth_key={KEY}&auth_timestamp={int(time.time())}&auth_version=1.0&body_md5={md5}"
    signature = hmac.new(SECRET.encode(), f"POST\n{path}\n{query}".encode(), hashlib.sha256).hexdigest()
    url = f"http://{HOST}:{server.port}{path}?{query}&auth_signature={signature}"
    urllib.request.urlopen(urllib.request.Request(url, data=body), timeout=10).close()
