"""A Compose file whose services run as processes: their commands and variables are read from it, so that it cannot rot.

Without containers there are no names and no addresses of their own. Each service gets an address of the loopback network in
place of its name, and of 0.0.0.0; files that are mounted are read from the tree, with the same done to them; a secret is a
file of the test. Everything else is as it stands there.
"""

import os
import random
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.request

import yaml

PATIENCE_S = 30


class Composition:
    def __init__(self, path, directory, apps, binary):
        self.file = yaml.safe_load(path.read_text())
        self.path, self.directory, self.apps, self.binary = path, directory, apps, binary
        network = f"127.{random.SystemRandom().randrange(16, 250)}.{random.SystemRandom().randrange(1, 250)}"
        services = self.file["services"]
        self.addresses = {name: f"{network}.{number}" for number, name in enumerate(services, 10)}
        self.processes = {}

    def start(self, name):
        """Starts a service, with what it depends on before it."""
        service = self.file["services"][name]
        for earlier in service.get("depends_on", {}):
            if earlier not in self.processes:
                self.start(earlier)
        directory = self.directory / name
        directory.mkdir(exist_ok=True)
        environment = {key: self.here(name, str(value)) for key, value in service.get("environment", {}).items()}
        words = [self.here(name, word) for word in service["command"]]
        # What the entrypoint of an image puts before the command.
        program = [self.binary, *words] if service["image"] == "corecast" else [shutil.which(words[0], path=paths()), *words[1:]]
        if words[0] == "redis-server":
            program += ["--bind", self.addresses[name], "--dir", str(directory)]
        log = (directory / "log").open("w")
        self.processes[name] = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *program],
            cwd=directory,
            env={"PATH": paths(), **environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        self.wait_until(lambda: self.is_healthy(name), name)

    def here(self, service, text):
        """What stands in the file, as it is for this process."""
        mounts = [mount.split(":")[:2] for mount in self.file["services"][service].get("volumes", [])]
        for source, target in mounts:
            if text == target:
                copy = self.directory / service / target.rsplit("/", 1)[1]
                copy.write_text(self.here(service, (self.path.parent / source).read_text()))
                return str(copy)
        if text == "/run/secrets/apps":
            secret = self.directory / "apps"
            secret.write_text(self.apps)
            return str(secret)
        text = text.replace("0.0.0.0", self.addresses[service])
        for name, address in self.addresses.items():
            text = re.sub(rf"\b{name}:(?=\d)", f"{address}:", text)
        return text

    def is_healthy(self, name):
        assert self.processes[name].poll() is None, f"{name} ended:\n{self.log(name)}"
        address, image = self.addresses[name], self.file["services"][name]["image"]
        if image == "corecast":
            # As the HEALTHCHECK of the image asks.
            admin = self.file["services"][name]["environment"]["CORECAST_ADMIN"].rsplit(":", 1)[1]
            command = [self.binary, "health"]
            environment = {"PATH": paths(), "CORECAST_ADMIN": f"{address}:{admin}"}
            return subprocess.run(command, env=environment, capture_output=True, timeout=PATIENCE_S, check=False).returncode == 0
        if image.startswith("redis"):
            command = ["redis-cli", "-h", address, *self.file["services"][name]["healthcheck"]["test"][2:]]
            return subprocess.run(command, capture_output=True, timeout=PATIENCE_S, check=False).stdout.strip() == b"PONG"
        return self.is_ready(name)

    def is_ready(self, name):
        try:
            return urllib.request.urlopen(f"http://{self.addresses[name]}:6001/ready", timeout=5).status == 200
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    def log(self, name):
        return (self.directory / name / "log").read_text()

    def wait_until(self, holds, what):
        end = time.monotonic() + PATIENCE_S
        while not holds():
            logs = "\n".join(self.log(name) for name in self.processes)
            assert time.monotonic() < end, f"{what} does not come:\n{logs}"
            time.sleep(0.05)

    def close(self):
        for process in self.processes.values():
            process.kill()
            process.wait()


def paths():
    return os.environ["PATH"] + ":/usr/sbin"
