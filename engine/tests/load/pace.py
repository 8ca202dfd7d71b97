"""How fast a server closes its clients when it ends, as far as the spans of crowd.py leave no doubt of it."""

WINDOW_S = 0.1
# Of the closes, how many must be known this well for the windows to mean something.
SHARP_S, SHARP_RATIO_MIN = 0.02, 0.5


def check_rate(clients, begun, rate, shards):
    """No window of 100 ms has more closes than the rate allows and one of each shard, nor has the time since `begun`."""
    spans = sorted((client.lives[0].closed for client in clients), key=lambda span: (span.before, span.after))
    allowed = rate * WINDOW_S + shards
    for last, span in enumerate(spans):
        assert last < rate * (span.before - begun) + shards, f"{last} closes in {span.before - begun:.3f} s"
        if last >= allowed:
            earliest = min(it.after for it in spans[last - int(allowed) : last + 1])
            assert span.before - earliest >= WINDOW_S, f"more than {allowed:.0f} closes in {span.before - earliest:.3f} s"
    sharp = sum(span.before - span.after <= SHARP_S for span in spans) / len(spans)
    assert sharp >= SHARP_RATIO_MIN, f"only {sharp:.0%} of the closes were seen in time: the machine is too busy"
    print(f"\n{len(spans)} closes in {spans[-1].before - begun:.2f} s, {sharp:.0%} of them seen in time")
