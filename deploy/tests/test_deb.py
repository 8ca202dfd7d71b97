"""The Debian package in a fresh Debian: installed, served under its unit, upgraded, removed and purged, in this order.

There is no systemd as process 1 in the root, so its maintainer scripts start nothing, and the commands of the unit are run
with its user, its limits and its system calls by hand.
"""

import json
import os
import re
import shutil
import signal
import stat
import subprocess

import pusher
import pytest

from conftest import TREE
from connection import Connection
from root import Notify, Root, Unit
from server import HOST, free_port, ready

CONFIG = "/etc/corecast/corecast.toml"
SERVICE = "/usr/lib/systemd/system/corecast.service"
WANTED = "/etc/systemd/system/multi-user.target.wants/corecast.service"
STOP_S_MAX = 30
# What systemd-analyze security may say at most, from 0.0 (nothing is exposed) to 10.0.
EXPOSURE_MAX = 1.6


class Operated:
    """The server of the package, with the settings in the root."""

    def __init__(self, root):
        self.root, self.notify = root, Notify(root)
        self.port = int(re.search(r'^listen = \["[^"]*:(\d+)"\]', root.read(CONFIG), re.MULTILINE)[1])
        self.process = Unit(root, SERVICE).start(self.notify)
        self.notify.wait_for("READY=1")

    def stop(self):
        self.process.terminate()
        assert self.process.wait(STOP_S_MAX) == 0
        self.notify.close()

    def reload(self):
        self.process.send_signal(signal.SIGHUP)
        self.notify.wait_for("RELOADING=1")
        self.notify.wait_for("READY=1")

    def hears_what_is_published(self, app):
        """Whether a client of this app hears what a back end of it says, by an official SDK."""
        key, secret = app["keys"][0]["key"], app["keys"][0]["secret"]
        sdk = pusher.Pusher(app["id"], key, secret, ssl=False, host=HOST, port=self.port, timeout=15)
        client = Connection(self, sdk, key=key)
        client.subscribe("private-orders")
        sdk.trigger("private-orders", "shipped", {"order": 7})
        heard = json.loads(client.frame("shipped", "private-orders")["data"])
        client.close()
        return heard == {"order": 7}


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """The package, and one of a later version."""
    made = tmp_path_factory.mktemp("packages")
    for version in ("0.1.0", "99.0.0"):
        command = [TREE / "deploy/package.sh", "deb", "--deb-version", version, "--output", made / f"{version}.deb"]
        subprocess.run(command, check=True, timeout=1800)
    return made


@pytest.fixture(scope="module")
def root(packages, tmp_path_factory):
    made = Root(tmp_path_factory.mktemp("debian"))
    shutil.copytree(packages, made.path / "packages")
    yield made
    made.close()


@pytest.fixture(scope="module")
def app(root):
    """The app that the operator adds."""
    return {}


def rights(root, path):
    """Owner, group and mode."""
    found = os.stat(root.path / path.lstrip("/"))
    names = {root.user(name).pw_uid: name for name in ("root", "corecast")}
    return names[found.st_uid], names[found.st_gid], oct(stat.S_IMODE(found.st_mode))


def test_a_fresh_install_has_a_user_a_service_and_no_secret(root):
    root.run("dpkg", "--install", "/packages/0.1.0.deb")
    assert root.user("corecast").pw_shell == "/usr/sbin/nologin"
    assert rights(root, "/etc/corecast") == ("root", "corecast", "0o750")
    assert rights(root, CONFIG) == ("root", "corecast", "0o640")
    assert rights(root, "/var/lib/corecast") == ("corecast", "corecast", "0o700")
    assert (root.path / WANTED.lstrip("/")).is_symlink()
    assert "0 app(s)" in root.run("corecast", "config", "check", "--config", CONFIG, user="corecast")
    assert "no app store" in root.run("corecast", "app", "list", "--config", CONFIG, user="corecast", fails=True)
    assert not re.search(r"^(secret|key|\[\[apps)", root.read(CONFIG), re.MULTILINE)
    assert root.run("man", "-w", "corecast-serve").strip() == "/usr/share/man/man1/corecast-serve.1.gz"
    assert "complete" in root.run("bash", "-c", ". /usr/share/bash-completion/completions/corecast; complete -p corecast")
    # The example is the same settings as none.
    example = "/usr/share/doc/corecast/examples/corecast.toml"
    shown = root.run("corecast", "config", "show", "--json", "--config", example, "--app", "1:k:s")
    assert json.loads(shown)


def test_systemd_finds_nothing_to_say_about_the_units(root):
    units = [SERVICE, SERVICE.replace(".service", ".socket")]
    assert root.run("systemd-analyze", "verify", "--man=no", *units) == ""
    told = root.run("systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE_MAX * 10:.0f}", "corecast.service")
    print(told.splitlines()[-1])


def test_the_server_serves_under_its_unit(root, app):
    config = root.path / CONFIG.lstrip("/")
    text = config.read_text().replace("0.0.0.0:6001", f"{HOST}:{free_port()}").replace(":9601", f":{free_port()}")
    config.write_text(text + "\n# Ours.\n")
    server = Operated(root)
    assert ready(server.port)
    added = root.run("corecast", "app", "add", "7001", "--config", CONFIG, "--json", user="corecast")
    app.update(json.loads(added))
    assert server.hears_what_is_published(app)
    server.reload()
    assert server.hears_what_is_published(app)
    server.stop()


def test_an_upgrade_keeps_settings_and_data(root, app):
    before = root.read(CONFIG)
    root.run("dpkg", "--install", "/packages/99.0.0.deb")
    assert "99.0.0" in root.run("dpkg-query", "--show", "corecast")
    assert root.read(CONFIG) == before
    assert rights(root, CONFIG) == ("root", "corecast", "0o640")
    server = Operated(root)
    assert server.hears_what_is_published(app)
    server.stop()


def test_a_service_that_the_operator_has_disabled_stays_so(root):
    link = root.path / WANTED.lstrip("/")
    link.unlink()
    root.run("dpkg", "--install", "/packages/99.0.0.deb")
    assert not link.exists()


def test_a_removal_keeps_settings_and_data_and_a_purge_does_not(root):
    root.run("dpkg", "--remove", "corecast")
    gone = ["/usr/bin/corecast", SERVICE, "/usr/lib/sysusers.d/corecast.conf", "/usr/share/man/man1/corecast.1.gz"]
    kept = [CONFIG, "/var/lib/corecast/apps.db"]
    there = [path for path in gone + kept if (root.path / path.lstrip("/")).exists()]
    assert there == kept
    root.run("dpkg", "--purge", "corecast")
    there = [path for path in ["/etc/corecast", "/var/lib/corecast", WANTED] if os.path.lexists(root.path / path.lstrip("/"))]
    assert there == []
    # So that nobody else gets its number.
    assert root.user("corecast")
    root.run("dpkg", "--install", "/packages/0.1.0.deb")
    assert "0 app(s)" in root.run("corecast", "config", "check", "--config", CONFIG, user="corecast")
