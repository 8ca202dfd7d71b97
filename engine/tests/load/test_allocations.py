"""A delivery allocates nothing: what the running server asks of its allocator depends on what is published, not on how many
hear it.

A million deliveries lie between two readings. What a publish itself needs is measured in the same way with few subscribers.
With a flush interval each connection collects many events before it is written once.
"""

import subprocess
import time

import pytest
from measured import APP_ID, COUNTING, KEY, SECRET, THE_APP, Measured, generate

pytestmark = pytest.mark.alone

RATE = 200
FEW, MANY = 20, 2_000
DELIVERIES = 1_000_000
# What a publish asks for differs by how many come in a turn: more than this would be an allocation for each delivery.
STRAYS_MAX = DELIVERIES // 100


@pytest.mark.parametrize("flush_interval_ms", [0, 1000])
def test_a_million_deliveries_allocate_nothing(flush_interval_ms, tmp_path):
    app = THE_APP if flush_interval_ms == 0 else app_with_interval(flush_interval_ms, tmp_path)
    few, many = allocations(app, FEW, DELIVERIES // MANY * FEW), allocations(app, MANY, DELIVERIES)
    print(f"\nallocations for each publish: {few[0]:.2f} with {FEW} subscribers, {many[0]:.2f} with {MANY}")
    for_deliveries = (many[0] - few[0]) * many[1]
    assert for_deliveries <= STRAYS_MAX, f"{for_deliveries:.0f} allocations for {DELIVERIES} deliveries more"


def app_with_interval(interval_ms, folder):
    file = folder / "corecast.toml"
    names = f'id = "{APP_ID}"\nkey = "{KEY}"\nsecret = "{SECRET}"'
    file.write_text(f"[[apps]]\n{names}\nflush_interval_ms = {interval_ms}\n")
    return ["--config", str(file)]


def allocations(app, subscribers, deliveries):
    """Allocations for each publish while so many deliveries are made, and how many publishes that took."""
    server = Measured(COUNTING, app=app)
    try:
        crowd = ["--connections", str(subscribers), "--rate", str(RATE), "--duration", "60"]
        generator = subprocess.Popen(generate(server, "fanout", *crowd), stdout=subprocess.DEVNULL)
        try:
            return between_readings(server, subscribers, deliveries)
        finally:
            generator.kill()
            generator.wait()
    finally:
        server.stop()


def between_readings(server, subscribers, deliveries):
    first, _ = when_delivered(server, RATE * subscribers)
    # What a reading costs is in the next one.
    again = server.metrics()
    reading = allocated(again) - allocated(first)
    last, readings = when_delivered(server, again["corecast_ws_messages_sent_total"] + deliveries)
    publishes = last["corecast_rest_published_total"] - again["corecast_rest_published_total"]
    return (allocated(last) - allocated(again) - readings * reading) / publishes, publishes


def allocated(read):
    return read["corecast_allocations_total"]


def when_delivered(server, messages):
    """The first reading that has so many messages, and how many readings that took."""
    end, readings = time.monotonic() + 60, 0
    while True:
        read, readings = server.metrics(), readings + 1
        if read["corecast_ws_messages_sent_total"] >= messages:
            return read, readings
        assert time.monotonic() < end, f"too few deliveries: {read['corecast_ws_messages_sent_total']}"
        time.sleep(0.2)
