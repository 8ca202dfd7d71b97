"""The example in docs/hooks.md does what it says, on other ports."""

import re
import subprocess
import sys
from pathlib import Path

from measured import BINARY, HOST, free_port
from operated import wait_until
from server import ready

PAGE = Path(__file__).parents[3] / "docs" / "hooks.md"


class Process:
    """A program that ends with its test, and what it has printed."""

    def __init__(self, *command, cwd):
        self.printed = cwd / f"{Path(command[0]).name}.out"
        with self.printed.open("w") as out:
            self.child = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *command], cwd=cwd, stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )

    def close(self):
        self.child.kill()
        self.child.wait()


def test_the_example_of_the_page_shows_an_event(ends, tmp_path):
    port, endpoint = free_port(), free_port()
    blocks = [block.replace("7000", str(endpoint)) for block in code_blocks("## An example")]
    config, program, shows = blocks[:3]
    (tmp_path / "corecast.toml").write_text(f'listen = "{HOST}:{port}"\nadmin = "off"\n{config}')
    (tmp_path / "hooks.py").write_text(program)
    back_end = Process(sys.executable, "hooks.py", cwd=tmp_path)
    ends.append(back_end)
    ends.append(Process(BINARY, "serve", "--config", "corecast.toml", cwd=tmp_path))
    wait_until(lambda: ready(port), "the server to be ready")
    command = shows.strip().replace("corecast", BINARY, 1) + f" --to {HOST}:{port}"
    subprocess.run(["sh", "-c", command], check=True, cwd=tmp_path, stdout=subprocess.DEVNULL)
    wait_until(lambda: "'server_event'" in back_end.printed.read_text(), back_end.printed.read_text)
    assert "'news'" in back_end.printed.read_text() and "forged" not in back_end.printed.read_text()


def code_blocks(heading):
    """The indented blocks under it, without their indent."""
    text = PAGE.read_text().split(f"\n{heading}\n")[1].split("\n## ")[0]
    blocks = re.findall(r"(?:^    .*\n|^\n(?=    ))+", text, re.MULTILINE)
    return [re.sub(r"^    ", "", block, flags=re.MULTILINE) for block in blocks if block.strip()]
