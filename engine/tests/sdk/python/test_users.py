"""Users by the server SDK: it signs sign-ins, sends events to users, and ends their connections."""

import json

ANN = {"id": "ann", "user_info": {"name": "Ann «ü»"}}


def sign_in(connection, sdk, user):
    """Signs in as an application would have it, and subscribes to the channel of the user."""
    signed = sdk.authenticate_user(connection.socket_id, user)
    connection.send("pusher:signin", signed)
    answer = json.loads(connection.frame("pusher:signin_success")["data"])
    assert json.loads(answer["user_data"]) == user
    connection.subscribe(f"#server-to-user-{user['id']}")


def test_a_signed_in_user_gets_its_events(sdk, connect):
    devices = [connect() for _ in range(4)]
    for device in devices:
        sign_in(device, sdk, ANN)
    sdk.send_to_user("ann", "greeting", {"text": "«hello»"})
    for device in devices:
        frame = device.frame("greeting", "#server-to-user-ann")
        assert json.loads(frame["data"]) == {"text": "«hello»"}


def test_a_terminated_user_is_told_so(sdk, connect):
    device, other = connect(), connect()
    sign_in(device, sdk, {"id": "goner"})
    sign_in(other, sdk, {"id": "stays"})
    sdk.terminate_user_connections("goner")
    assert device.frame("pusher:error")["data"]["code"] == 4009
    sdk.send_to_user("stays", "still", "there")
    other.frame("still", "#server-to-user-stays")
