"""What load balancers and supervisors are told, on the public port and on that of the tools."""

import json
import time
import urllib.error
import urllib.request

from measured import APP_ID, HOST

from churners import Churner


def ask(port, path):
    """Status, body, and the word of the header."""
    try:
        answer = urllib.request.urlopen(f"http://{HOST}:{port}{path}", timeout=20)
    except urllib.error.HTTPError as refused:
        answer = refused
    return answer.status, answer.read().decode(), answer.headers["X-Health-Check"]


def test_health_is_said_in_a_word_with_a_status_that_agrees(start):
    server = start(app=("--app", f"{APP_ID}:sdk-key:sdk-secret", "--app", "8:other:secret"))
    for port in (server.port, server.admin):
        for path in ("/health", "/up", f"/up/{APP_ID}", "/up/8"):
            assert ask(port, path) == (200, '{"health":"OK"}', "OK"), path
        assert ask(port, "/up/nobody") == (404, '{"health":"NOT_FOUND"}', "NOT_FOUND")


def test_a_disabled_app_is_not_up(start, tmp_path):
    settings = tmp_path / "corecast.toml"
    settings.write_text('[[apps]]\nid = "off"\nkey = "k"\nsecret = "s"\nenabled = false\n')
    server = start("--config", str(settings), app=())
    assert ask(server.port, "/up/off") == (503, '{"health":"ERROR"}', "ERROR")
    assert ask(server.port, "/health")[2] == "OK"


def test_a_server_that_ends_is_draining(start):
    server = start("--ready-grace", "30")
    client = Churner(server.port, APP_ID)
    server.process.terminate()
    end = time.monotonic() + 20
    while ask(server.port, "/health") != (503, '{"health":"DRAINING"}', "DRAINING"):
        assert time.monotonic() < end, "it never said that it drains"
        time.sleep(0.05)
    assert ask(server.port, f"/up/{APP_ID}") == (503, '{"health":"DRAINING"}', "DRAINING")
    assert ask(server.port, "/up") == (200, '{"health":"OK"}', "DRAINING"), "the process is well"
    client.hang_up()
    server.process.kill()
    server.process.wait()
    server.stop = lambda: None


def test_usage_is_told_to_tools_alone(start):
    server = start()
    status, body, _ = ask(server.admin, "/usage")
    memory = json.loads(body)["memory"]
    assert status == 200 and memory["used"] + memory["free"] == memory["total"], memory
    resident = server.metrics()["process_resident_memory_bytes"]
    assert 0.5 < memory["used"] / resident < 2 and 0 < memory["percent"] < 100, memory
    assert ask(server.port, "/usage")[0] == 404
