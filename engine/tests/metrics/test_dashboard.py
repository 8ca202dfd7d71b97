"""The dashboard and the alert rules name what a live server tells, and nothing else."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from everything import families, family_of

PLACE = Path(__file__).parents[3] / "deploy/grafana"
RULES = PLACE / "corecast-alerts.yml"
# What Prometheus adds to every sample, and what it says itself of a target.
OF_PROMETHEUS = {"instance", "job", "le"}
SAID_BY_PROMETHEUS = {"up"}
# `name{matchers}` or a bare name; functions and keywords are left out below.
SELECTOR = re.compile(r"\b([a-zA-Z_:][\w:]*)\b(?:\{([^}]*)\})?")
MATCHER = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"[^\"]*\"")
GROUPING = re.compile(r"\b(?:by|on|without)\s*\(([^)]*)\)")
WORDS = set("sum max min rate increase histogram_quantile by on without label_values".split())


def metrics_of(expression):
    """The metrics that a query names, each with the labels that it wants of them."""
    grouped = {label.strip() for labels in GROUPING.findall(expression) for label in labels.split(",") if label.strip()}
    bare = GROUPING.sub("", expression)
    bare = re.sub(r"\[[^\]]*\]", "", bare)
    found = {}
    for name, matchers in SELECTOR.findall(bare):
        if name not in WORDS and not re.fullmatch(r"[\de.]+", name):
            found.setdefault(name, set()).update(MATCHER.findall(matchers))
    quoted = {name for name in found if f'"{name}"' in bare}
    return {name: labels | grouped for name, labels in found.items() if name not in quoted}


def queries_of_the_dashboard():
    dashboard = json.loads((PLACE / "corecast-dashboard.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            shown = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            yield f"{panel['title']} {target['refId']}", target["expr"], shown


def queries_of_the_rules():
    text = RULES.read_text()
    for rule in re.split(r"\n\s+- alert: ", text)[1:]:
        name = rule.split("\n", 1)[0]
        [folded] = re.findall(r"expr: (?:>-\n)?((?:.|\n)*?)\n\s+(?:for|labels):", rule)
        yield name, " ".join(folded.split()), set(re.findall(r"\$labels\.(\w+)", rule))


QUERIES = [*queries_of_the_dashboard(), *queries_of_the_rules()]


def test_there_is_something_to_check():
    assert len(list(queries_of_the_dashboard())) > 50 and len(list(queries_of_the_rules())) > 15
    assert metrics_of('sum by (le) (rate(a_bucket{x=~"$x"}[5m])) / max(b) > 0.5') == {"a_bucket": {"x", "le"}, "b": {"le"}}


@pytest.mark.parametrize("what, query, shown", QUERIES, ids=[what for what, _, _ in QUERIES])
def test_each_metric_and_label_is_told_by_a_live_server(scraped, what, query, shown):
    told = families(scraped)
    wanted = metrics_of(query)
    assert wanted, query
    labels_told = set(OF_PROMETHEUS)
    for name, labels in wanted.items():
        if name in SAID_BY_PROMETHEUS:
            continue
        family = family_of(name, told)
        assert family in told, f"{what}: no server tells {name}"
        if told[family]["type"] == "histogram":
            assert family != name, f"{what}: {name} is a histogram and has no samples of that name"
        labels_told |= told[family]["labels"]
    for name, labels in wanted.items():
        assert labels <= labels_told, f"{what}: no metric of it has the labels {labels - labels_told}"
    assert shown <= labels_told, f"{what}: {shown - labels_told} is shown and no metric of it has it"


def test_counters_are_rated_and_gauges_are_not(scraped):
    told = families(scraped)
    for what, query, _ in QUERIES:
        for name in metrics_of(query):
            family = family_of(name, told)
            if family not in told:
                continue
            rated = re.search(rf"(?:rate|increase)\(\s*{name}\b", query) is not None
            assert rated == (told[family]["type"] != "gauge"), f"{what}: {query}"


def test_panels_stand_beside_each_other_and_are_described():
    dashboard = json.loads((PLACE / "corecast-dashboard.json").read_text())
    taken = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        fields = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert place["x"] + place["w"] <= 24 and not fields & taken, panel["title"]
        taken |= fields
        assert panel["type"] == "row" or panel["description"], panel["title"]
    numbers = [panel["id"] for panel in dashboard["panels"]]
    assert len(numbers) == len(set(numbers))


def test_prometheus_takes_the_rules():
    subprocess.run(["promtool", "check", "rules", "--lint-fatal", str(RULES)], check=True, timeout=60)


def test_prometheus_takes_every_query_of_the_dashboard(tmp_path):
    rules = ["groups:\n- name: dashboard\n  rules:\n"]
    for number, (_, query, _) in enumerate(queries_of_the_dashboard()):
        query = query.replace("$__rate_interval", "5m")
        rules.append(f"  - record: query:number{number}\n    expr: {json.dumps(query)}\n")
    (tmp_path / "dashboard.yml").write_text("".join(rules))
    subprocess.run(["promtool", "check", "rules", str(tmp_path / "dashboard.yml")], check=True, timeout=60)


def test_alerts_come_when_they_should_and_not_before():
    examples = Path(__file__).parent / "alerts.test.yml"
    subprocess.run(["promtool", "test", "rules", str(examples)], check=True, timeout=60, cwd=examples.parent)


def test_prometheus_takes_the_scrape(scraped):
    """promtool's judgement of names, types and help. soketi's byte counters have no _total, and nobody thinks of a certificate
    in seconds."""
    done = subprocess.run(["promtool", "check", "metrics"], input=scraped, capture_output=True, text=True, timeout=60)
    complaints = [line for line in done.stderr.splitlines() if line.strip()]
    known = re.compile(
        r'^corecast_(socket|http)_\w+_bytes counter metrics should have "_total" suffix$'
        r'|^corecast_certificate_days_left use base unit "seconds" instead of "days"$'
    )
    assert not [line for line in complaints if not known.match(line)], done.stderr
