"""docs/metrics.md has every metric that a server tells, with its type, labels and meaning. UPDATE=1 writes the table anew."""

import os
from pathlib import Path

from everything import families

PAGE = Path(__file__).parents[3] / "docs/metrics.md"
HEAD = "| metric | type | labels | meaning |\n|---|---|---|---|\n"


def table(scrape):
    rows = []
    for name, family in sorted(families(scrape).items()):
        labels = ", ".join(f"`{label}`" for label in sorted(family["labels"] - {"le"})) or "–"
        rows.append(f"| `{name}` | {family['type']} | {labels} | {family['help']} |\n")
    return HEAD + "".join(rows)


def test_the_page_has_every_metric_of_a_live_server(scraped):
    text = PAGE.read_text()
    before, rest = text.split(HEAD)
    rows = [line for line in rest.splitlines(keepends=True)]
    after = "".join(rows[next(at for at, line in enumerate([*rows, ""]) if not line.startswith("|")) :])
    wanted = before + table(scraped) + after
    if os.environ.get("UPDATE") == "1":
        PAGE.write_text(wanted)
    assert text == wanted, "run it again with UPDATE=1"


def test_each_meaning_is_a_sentence(scraped):
    for name, family in families(scraped).items():
        assert family["help"][0].isupper() or family["help"][0].isdigit(), f"{name}: {family['help']}"
        assert family["help"].endswith("."), f"{name}: {family['help']}"
