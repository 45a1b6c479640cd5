"""Documents point at what there is, and their tables name what the code has."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from funnel import Live
from funnel.evaluation.advice import About
from funnel.reference import keys
from tests.conftest import ROOT
from tests.test_docs import DOCUMENTS
from tests.tiny import TinyBuild

LINK = re.compile(r"\]\(([^)\s]+)\)")


def slugs(path: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    heads = [line.lstrip("#").strip().lower() for line in text.splitlines() if line.startswith("#")]
    return {re.sub(r"[^\w\- ]", "", head).replace(" ", "-") for head in heads}


def broken(path: Path, text: str) -> list[str]:
    """Links of a page that lead nowhere."""
    found = []
    for link in LINK.findall(text):
        name, _, anchor = link.partition("#")
        if "://" in link:
            continue
        to = path if not name else (path.parent / name).resolve()
        if not to.exists() or (anchor and to.suffix == ".md" and anchor not in slugs(to)):
            found.append(link)
    return found


@pytest.mark.parametrize("path", [*DOCUMENTS, ROOT / "CHANGELOG.md"], ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    assert broken(path, path.read_text()) == []


def test_a_link_that_leads_nowhere_is_found() -> None:
    """The control."""
    page = ROOT / "README.md"
    assert broken(page, "[a](docs/nowhere.md) [b](docs/serving.md#nowhere) [c](#nowhere)") == [
        "docs/nowhere.md", "docs/serving.md#nowhere", "#nowhere",
    ]  # fmt: skip
    assert broken(page, "[a](docs/serving.md#deadlines) [b](https://example.com)") == []


def rows(name: str, below: str) -> list[list[str]]:
    """The cells of the first table behind a heading of a page, without its head."""
    text = (ROOT / "docs" / name).read_text().partition(f"## {below}\n")[2]
    lines = re.search(r"(^\|.*\n)+", text, re.MULTILINE)
    assert lines is not None
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[0].splitlines()[2:]]


def test_the_page_on_the_report_has_all_advice_and_its_keys() -> None:
    table = rows("report.md", "What to do next")
    assert {row[0].strip("`") for row in table} == set(get_args(About))
    named = {key for row in table for key in re.findall(r"`([^`]+)`", row[2])}
    assert named
    assert named <= {one.name for one in keys()}


def test_the_page_on_backends_names_what_health_says(built: TinyBuild) -> None:
    live = Live(built.indexes)
    health = live.health()
    live.close()
    state, said = health["state"], [re.findall(r"`([^`]+)`", row[0]) for row in rows("backend.md", "Health")]
    names = {name for found in said for name in found}
    assert {name for name in health if name not in ("state", "memory", "process")} <= names
    inside = {name.removeprefix("state.") for name in names - set(health) - {"memory.*"}}
    assert inside <= set(state)
