"""What `corecast doctor` says of a machine and of settings, as an operator runs it."""

import json
import os
import subprocess

from measured import BINARY, HOST, SECRET, THE_APP, free_port


class Examined:
    """One run of the doctor, as JSON. What it is run under comes before the command; `before` is done in its process."""

    def __init__(self, *arguments, app=THE_APP, listen=None, under=(), before=None):
        addresses = listen or ["--listen", f"{HOST}:{free_port()}", "--admin", f"{HOST}:{free_port()}"]
        command = [*under, BINARY, "doctor", "--json", *addresses, *app, *map(str, arguments)]
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            preexec_fn=before,
            env={name: value for name, value in os.environ.items() if not name.startswith("CORECAST_")},
        )
        assert done.stderr == "", done.stderr
        assert SECRET not in done.stdout, done.stdout
        self.code, self.said = done.returncode, json.loads(done.stdout)
        self.checks = self.said["checks"]
        for check in self.checks:
            assert set(check) == {"name", "state", "what", "cure"}, check
            assert (check["state"] == "ok") == (check["cure"] is None), check
        worst = max((["ok", "warn", "fail"].index(check["state"]) for check in self.checks), default=0)
        assert self.said["state"] == ["ok", "warn", "fail"][worst], self.said
        assert self.code == (1 if self.said["state"] == "fail" else 0), self.said

    def named(self, name):
        """All that is said under this name."""
        found = [check for check in self.checks if check["name"] == name]
        assert found, f"nothing is said of {name}: {self.checks}"
        return found

    def one(self, name):
        """What is said under this name, once."""
        found = self.named(name)
        assert len(found) == 1, found
        return found[0]

    def failures(self):
        """The names of all that fails."""
        return sorted({check["name"] for check in self.checks if check["state"] == "fail"})


def has(check, state, what, cure):
    """Whether a check is in this state and has these words."""
    assert check["state"] == state, check
    assert what in check["what"], check
    assert cure in (check["cure"] or ""), check
