"""What the server SDK for Python can ask: occupied channels, their users, and who they are; and what it can do about one."""

import time

import pytest
from pusher.errors import PusherBadRequest

WAIT_S_MAX = 15


def test_an_index_without_occupied_channels_is_an_empty_object(sdk):
    assert sdk.channels_info(prefix_filter="nobody-") == {"channels": {}}


def test_the_index_names_the_occupied_channels(sdk, connect):
    names = [f"index-{index}" for index in range(40)]
    connection = connect()
    for name in names:
        connection.subscribe(name)
    assert sdk.channels_info(prefix_filter="index-") == {"channels": {name: {} for name in names}}
    assert set(names) <= set(sdk.channels_info()["channels"])


def test_the_index_counts_the_users_of_presence_channels(sdk, connect):
    for user_id in ("ann", "bob", "bob"):
        connect().subscribe("presence-counted", {"user_id": user_id})
    answer = sdk.channels_info(prefix_filter="presence-counted", attributes=["user_count"])
    assert answer == {"channels": {"presence-counted": {"user_count": 2}}}


def test_a_channel_says_if_it_is_occupied(sdk, connect):
    connection = connect()
    connection.subscribe("asked")
    assert sdk.channel_info("asked") == {"occupied": True}
    connection.unsubscribe("asked")
    # The acknowledgement of a later subscription shows that the server has handled the unsubscribe.
    connection.subscribe("asked-fence")
    assert sdk.channel_info("asked") == {"occupied": False}


def test_a_presence_channel_counts_users(sdk, connect):
    for user_id in ("ann", "ann", "bob"):
        connect().subscribe("presence-asked", {"user_id": user_id})
    answer = sdk.channel_info("presence-asked", attributes=["user_count"])
    assert answer == {"occupied": True, "user_count": 2}


def test_the_users_of_a_presence_channel_are_listed_once_each(sdk, connect):
    ids = ["ann", "bob", "42"]
    for user_id in [*ids, "ann"]:
        connect().subscribe("presence-listed", {"user_id": user_id})
    users = sdk.users_info("presence-listed")["users"]
    assert sorted(user["id"] for user in users) == sorted(ids)


def test_a_user_leaves_the_list_with_its_last_connection(sdk, connect):
    stays, first, last = connect(), connect(), connect()
    stays.subscribe("presence-leaving", {"user_id": "ann"})
    for device in (first, last):
        device.subscribe("presence-leaving", {"user_id": "bob"})
    stays.frame("pusher_internal:member_added", "presence-leaving")
    first.close()
    assert len(sdk.users_info("presence-leaving")["users"]) == 2
    last.close()
    stays.frame("pusher_internal:member_removed", "presence-leaving")
    assert sdk.users_info("presence-leaving") == {"users": [{"id": "ann"}]}


def test_the_roster_holds_user_info_as_it_was_signed(sdk, connect):
    info = {"name": "Zoë «ü»", "roles": ["admin", None]}
    connect().subscribe("presence-roster", {"user_id": "zoe", "user_info": info})
    roster = connect().subscribe("presence-roster", {"user_id": "ann", "user_info": {}})["presence"]
    assert roster["count"] == 2
    assert sorted(roster["ids"]) == ["ann", "zoe"]
    assert roster["hash"] == {"zoe": info, "ann": {}}


def test_terminating_a_user_is_answered_and_closes_nobody_who_is_only_in_a_presence_channel(sdk, connect):
    connection = connect()
    connection.subscribe("presence-terminated", {"user_id": "ann"})
    assert sdk.terminate_user_connections("ann") == {}
    connection.subscribe("terminated-fence")


def test_user_count_without_a_presence_prefix_is_a_bad_request(sdk):
    with pytest.raises(PusherBadRequest):
        sdk.channels_info(attributes=["user_count"])


def test_connections_that_end_leave_no_occupied_channel(sdk, connect):
    crowd = [connect() for _ in range(10)]
    for index, connection in enumerate(crowd):
        connection.subscribe(f"ending-{index}")
        connection.close()
    end = time.monotonic() + WAIT_S_MAX
    while sdk.channels_info(prefix_filter="ending-") != {"channels": {}}:
        assert time.monotonic() < end, sdk.channels_info(prefix_filter="ending-")
        time.sleep(0.02)
