"""Autobahn's cases against the WebSocket decoder and encoders, behind an example that echoes.

The protocol has no binary messages and the server offers no extension, so cases that send the one or ask for the other are
left out by their names, and no others.
"""

import asyncio
import os
import subprocess

import kosoku
import pytest

# 1.2: binary messages. 9.2, 9.4, 9.6, 9.8: large binary messages. 12, 13: compression.
WITHOUT_MEANING_HERE = ["1.2.*", "9.2.*", "9.4.*", "9.6.*", "9.8.*", "12.*", "13.*"]


@pytest.fixture
def echo():
    process = subprocess.Popen([os.environ["ECHO_SERVER"], "127.0.0.1:0"], stdout=subprocess.PIPE, text=True)
    yield process.stdout.readline().strip()
    process.kill()
    process.wait()
    process.stdout.close()


def test_every_case_of_text_and_control_frames_passes(echo):
    try:
        run = kosoku.run_fuzzingclient(f"ws://{echo}", exclude_cases=WITHOUT_MEANING_HERE, concurrency=4)
        results = asyncio.run(run)
    except kosoku.FailureError as failure:
        pytest.fail("\n".join(f"{case.case_id}: {case.result} {case.result_close}" for case in failure.results))
    assert len(results) > 200
