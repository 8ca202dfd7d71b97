"""A real Prometheus with the configuration that docs/metrics.md prints and the alert rules, before a live server."""

import json
import re
import subprocess
import time
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from churners import PATIENCE_S
from measured import HOST, free_port
from test_dashboard import RULES, queries_of_the_dashboard

PAGE = Path(__file__).parents[3] / "docs/metrics.md"
JOB = "corecast"


class Prometheus:
    """It reads its targets each second, and dies with the test."""

    def __init__(self, directory, admin):
        self.port = free_port()
        [scrapes] = re.findall(r"```yaml\n(scrape_configs:.*?)```", PAGE.read_text(), re.DOTALL)
        assert "127.0.0.1:9601" in scrapes
        settings = directory / "prometheus.yml"
        settings.write_text(
            "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"
            f"rule_files: [{RULES}]\n" + scrapes.replace("127.0.0.1:9601", f"{HOST}:{admin}")
        )
        self.output = directory / "prometheus.log"
        options = {
            "config.file": settings,
            "storage.tsdb.path": directory / "data",
            "web.listen-address": f"{HOST}:{self.port}",
        }
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "prometheus", *(f"--{name}={value}" for name, value in options.items())],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def ask(self, path, **question):
        url = f"http://{HOST}:{self.port}/api/v1/{path}?{urllib.parse.urlencode(question)}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            return json.load(answer)["data"]

    def values(self, query):
        return self.ask("query", query=query)["result"]

    def has_scraped(self, times):
        try:
            [series] = self.values(f'up{{job="{JOB}"}}[1m]')
        except (OSError, ValueError):
            assert self.process.poll() is None, self.output.read_text()
            return False
        return [value for _, value in series["values"]].count("1") >= times

    def close(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def prometheus(everything, tmp_path_factory):
    server = Prometheus(tmp_path_factory.mktemp("prometheus"), everything.admin)
    try:
        end = time.monotonic() + PATIENCE_S
        while not server.has_scraped(5):
            assert time.monotonic() < end, server.output.read_text()
            time.sleep(0.2)
        yield server
    finally:
        server.close()


def test_the_printed_configuration_finds_the_server(prometheus, everything):
    [target] = prometheus.ask("targets")["activeTargets"]
    assert (target["health"], target["lastError"]) == ("up", "")
    assert target["labels"] == {"instance": f"{HOST}:{everything.admin}", "job": JOB}


def test_every_panel_of_the_dashboard_has_something_to_show(prometheus):
    chosen = {"$__rate_interval": "30s", "$job": JOB, "$instance": ".*"}
    empty = []
    for what, query, shown in queries_of_the_dashboard():
        for variable, value in chosen.items():
            query = query.replace(variable, value)
        found = prometheus.values(query)
        if not found:
            empty.append(what)
        assert all(shown <= set(one["metric"]) for one in found), f"{what}: {found}"
    assert empty == []


def test_every_alert_is_weighed_and_none_is_wrong(prometheus):
    end = time.monotonic() + PATIENCE_S
    while True:
        rules = [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]
        if all(rule["health"] != "unknown" for rule in rules):
            break
        assert time.monotonic() < end, rules
        time.sleep(0.2)
    assert len(rules) > 15
    assert [rule for rule in rules if rule["health"] != "ok"] == []
