"""Pages speak of what there is: every path, class, function and key in backticks exists."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest
import typer

from funnel.cli import app
from funnel.reference import keys
from tests.conftest import ROOT

PACKAGE = ROOT / "src" / "funnel"
PAGES = (
    "service.md",
    "design.md",
    "nightly.md",
    "backend.md",
    "plugins.md",
    "serving.md",
    "rules.md",
    "probabilities.md",
)

#: What LightGBM, gunicorn and Linux call their things, and a name that stands for any event's.
FOREIGN = {"Booster", "raw_score", "preload_app", "Pss", "RssAnon", "p_event"}


#: What begins a path of this project.
PLACES = ("src/", "funnel/", "tests/", "docs/", "examples/", "benchmarks/", "configs/")


@cache
def defined() -> tuple[set[str], set[str]]:
    """Names of classes; names of anything else: files, functions, arguments, attributes, words of texts."""
    classes: set[str] = set()
    others = {path.stem for path in (ROOT / "examples").iterdir()}
    others |= {path.stem for path in (ROOT / "benchmarks").glob("*.py")}
    for path in PACKAGE.rglob("*.py"):
        others |= {path.stem, path.parent.name}
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.ClassDef(name=name):
                    classes.add(name)
                case (
                    ast.FunctionDef(name=name)
                    | ast.Name(id=name)
                    | ast.Attribute(attr=name)
                    | ast.arg(arg=name)
                ):
                    others.add(name)
                case ast.Constant(value=str(text)) if len(text) < 200:
                    others |= set(re.findall(r"\w+", text))
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    settings = {part for key in keys() for part in key.name.split(".")}
    return classes, others | set(commands) | settings


def spans(text: str) -> list[str]:
    """What stands in backticks outside of blocks of code."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"`([^`\n]+)`", text)


def missing(span: str) -> list[str]:
    """Paths and names of a span that are nowhere."""
    if re.fullmatch(r"[\w.-]+/[\w./-]+", span) and span.startswith(PLACES):
        return [] if any((folder / span).exists() for folder in (ROOT, ROOT / "src")) else [span]
    classes, others = defined()
    words = re.findall(r"(?<![\w\"'])[A-Za-z_][A-Za-z_0-9]*", re.sub(r"\"[^\"]*\"|'[^']*'", "", span))
    camel = [word for word in words if re.fullmatch(r"[A-Z][a-z0-9]+([A-Z][a-z0-9]*)*", word)]
    # p_NAME is a probability, whose name is that of a kind of event in the data.
    rest = [word for word in words if re.fullmatch(r"(?!p_)[a-z]+_[a-z_0-9]+", word)]
    return [
        *(name for name in camel if name not in classes | others | FOREIGN),
        *(name for name in rest if name not in others | FOREIGN),
    ]


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_names_exists(page: str) -> None:
    found = spans((ROOT / "docs" / page).read_text())
    assert len(found) > 5
    assert {span: names for span in found if (names := missing(span))} == {}


def test_what_is_gone_is_found() -> None:
    """The control."""
    assert missing("funnel/values/arrays.py") == []
    assert missing("funnel/bundle/changing/items.py") == ["funnel/bundle/changing/items.py"]
    assert missing("`FooStage` and `history_foo`") == ["FooStage", "history_foo"]
    assert missing("CandidateFeatures.matrix") == []
