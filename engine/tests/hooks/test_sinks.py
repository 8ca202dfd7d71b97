"""Every form in which an endpoint can be told, beside each other at one app: each gets all that it wants, in order."""

import hashlib
import hmac
import json
import time
from urllib.parse import parse_qsl, urlencode, urlsplit

from operated import wait_until
from talkers import Talk, Talker, join, run_for

ROOMS = ["private-blue-1", "private-blue-2", "private-red-1", "presence-red-2"]
GRACE_MS = 300


def test_each_form_of_an_endpoint_gets_what_it_wants(receive, operate, gather, tmp_path):
    webman, parent, red = receive(), receive(), receive()
    lines, piped = tmp_path / "lines.json", tmp_path / "piped.json"
    server = operate(
        {"name": "lines", "file": str(lines)},
        {"name": "piped", "exec": ["sh", "-c", f"cat >> '{piped}'"], "batch_ms": 20},
        {"name": "webman", "url": f"{webman.url}?from=corecast", "format": "webman", "secret": "w", "batch_ms": 20},
        {"name": "parent", "url": parent.url, "format": "webman-push", "batch_ms": 20},
        {"name": "red", "url": red.url, "channel_prefix": "private-red-", "events": ["client_event"], "batch_ms": 20},
        {"name": "nobody", "none": True},
        hooks={"grace_ms": GRACE_MS},
    )
    crowd = gather(server)
    talkers = [Talker(crowd, room, "ann" if room.startswith("presence-") else None) for room in ROOMS]
    join(crowd, *talkers)
    talk = Talk(crowd, talkers, per_second=400)
    run_for(crowd, 1)
    talk.stop()
    for talker in talkers:
        talker.hang_up()
    wanted = len(talk.said()) + 2 * len(ROOMS) + 2
    for read in (lambda: objects(lines), lambda: objects(piped), lambda: of_webman(webman)):
        wait_until(lambda: len(read()) >= wanted, lambda: f"{wanted} events, not {len(read())}")
        check(read(), talk.said())
    edges = 2 * len(ROOMS) + 2
    wait_until(lambda: len(parent.events()) >= edges, lambda: f"{edges} edges, not {len(parent.events())}")
    check_of_webman_push(parent)
    reds = {word: when for talker in talkers[2:3] for word, when in talker.said}
    told = lambda: [event for _, event in red.events()]
    wait_until(lambda: len(told()) >= len(reds), lambda: f"{len(reds)} red words, not {len(told())}")
    assert [it["data"] for it in told()] == list(reds), "the filters let something else through"
    server.end()


def objects(path):
    """What is on the whole lines of a file."""
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def of_webman(receiver):
    """The events of its webhooks, each checked as webman's sample receiver does."""
    events = []
    for attempt in list(receiver.attempts):
        url = urlsplit(attempt.path)
        query = urlencode(sorted(parse_qsl(url.query)))
        signed = f"POST\n{url.path}\n{query}\n".encode() + attempt.body
        assert attempt.headers["sign"] == hmac.new(b"w", signed, hashlib.sha256).hexdigest(), attempt
        assert dict(parse_qsl(url.query))["from"] == "corecast", attempt.path
        events += [{**json.loads(it["data"]), "name": it["name"]} for it in attempt.events]
    return events


def check_of_webman_push(receiver):
    """Channels and members come and go, in its words and signed as its sample receiver wants it."""
    assert all(receiver.is_signed(it) for it in receiver.attempts)
    assert all(0 < json.loads(it.body)["time_ms"] - time.time() + 600 < 1200 for it in receiver.attempts), "no seconds"
    events = [event for _, event in receiver.events()]
    for room in ROOMS:
        members = room.startswith("presence-")
        wanted = ["channel_added", *(["member_added", "member_removed"] if members else []), "channel_removed"]
        assert [it["name"] for it in events if it["channel"] == room] == wanted, f"{room}: {events}"
    assert {it["user_id"] for it in events if it["name"].startswith("member_")} == {"ann"}


def check(events, said):
    """All of them once, in order within each channel."""
    words = [it["data"] for it in events if it["name"] == "client_event"]
    assert sorted(words) == sorted(said), "a word is missing, or was told twice"
    for room in ROOMS:
        of_room = [it for it in events if it["channel"] == room]
        ids = [int(it["id"]) for it in of_room]
        assert ids == sorted(set(ids)), f"{room}: {ids}"
        names = [it["name"] for it in of_room]
        assert names[0] == "channel_occupied" and names[-1] == "channel_vacated", f"{room}: {names}"
