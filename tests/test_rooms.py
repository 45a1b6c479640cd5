"""Every room is in the import contract and in the design, in one order; a name is one class."""

from __future__ import annotations

import ast
import re
import tomllib
from collections import Counter
from pathlib import Path

from tests.conftest import ROOT

PACKAGE = ROOT / "src" / "funnel"


def rooms() -> set[str]:
    """Folders and files of the package, but its door and the one that `python -m` runs."""
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    return folders | {path.stem for path in PACKAGE.glob("*.py")} - {"__init__", "__main__"}


def contract() -> list[list[str]]:
    """Layers of the import contract, the uppermost first."""
    tables = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(table["layers"] for table in tables if table["type"] == "layers")
    return [layer.split(" | ") for layer in layers if layer != "__main__"]


def design() -> list[list[str]]:
    """Rooms in the table of the design, a list a row."""
    text = (ROOT / "docs" / "design.md").read_text().partition("## The house")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)
    return [[name.removesuffix("/") for name in re.findall(r"`([^`]+)`", cell)] for cell in cells]


def classes(folder: Path) -> Counter[str]:
    """How often a class of each name is defined, also within functions and classes."""
    nodes = (node for path in folder.rglob("*.py") for node in ast.walk(ast.parse(path.read_text())))
    return Counter(node.name for node in nodes if isinstance(node, ast.ClassDef))


def test_every_room_is_in_the_contract_once() -> None:
    named = [room for layer in contract() for room in layer]
    assert sorted(named) == sorted(rooms())


def test_the_design_names_the_rooms_in_the_order_of_the_contract() -> None:
    assert design() == contract()[::-1]


def test_a_name_is_one_class() -> None:
    found = classes(PACKAGE)
    assert len(found) > 100
    assert [name for name, times in found.items() if times > 1] == []


def test_a_name_of_two_classes_is_found(tmp_path: Path) -> None:
    """The control."""
    (tmp_path / "one.py").write_text("class Shown: ...\n")
    (tmp_path / "two.py").write_text("def inside():\n    class Shown: ...\n")
    assert classes(tmp_path) == {"Shown": 2}


#: Words that have given way to another one in names of functions, classes, arguments and variables.
OLD_WORDS = {
    "adopt": "copy, reload",
    "adopting": "copying, reloading",
    "aside": "background, hidden",
    "ask": "request",
    "asked": "request, batch",
    "asking": "request",
    "barred": "excluded",
    "blocked": "excluded",
    "families": "groups",
    "family": "group",
    "found": "the name of the thing",
    "grown": "overlay",
    "made": "the name of the thing",
    "meeting": "interaction",
    "met": "interactions, seen",
    "place": "position",
    "places": "positions",
    "reading": "protocol",
    "readings": "protocols",
    "said": "message, sentence",
    "told": "message, explanation",
}
#: Names of which only the whole is wrong: `leave_one_out` and `at_least_one` say what they mean.
OLD_NAMES = {"Known": "context", "known_to": "shared", "one": "the name of the thing", "ones": "the same"}
#: Names in which such a word is right, or that a page or a file on disk reads.
RIGHT_NAMES = {
    "by_place",  # a figure of a profile, as its page and its JSON have it
    "connection_made",  # asyncio calls it
    "family",  # of a socket
}


def names(source: str) -> set[str]:
    """Names that a source defines: functions, classes, arguments, variables and attributes."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                found.add(node.name)
            case ast.arg():
                found.add(node.arg)
            case ast.Name(ctx=ast.Store()):
                found.add(node.id)
            case ast.Attribute(ctx=ast.Store()):
                found.add(node.attr)
            case ast.alias(asname=str(name)) | ast.ExceptHandler(name=str(name)):
                found.add(name)
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                found.add(name)
    return found


def parts(name: str) -> list[str]:
    """The words of a name: `_NotFound` and `not_found` both have "not" and "found"."""
    return [part.lower() for part in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", name)]


def old_words(source: str) -> dict[str, str]:
    """Names with an old word, and what is written instead."""
    better = {
        name: OLD_NAMES.get(name.lstrip("_")) or next(map(OLD_WORDS.get, {*parts(name)} & {*OLD_WORDS}), None)
        for name in names(source) - RIGHT_NAMES
    }
    return {name: word for name, word in better.items() if word is not None}


def room_of(path: Path) -> str:
    """The module's name below `funnel`, such as "towers.training.train"."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def test_old_words_do_not_come_back() -> None:
    sources = {room_of(path): path.read_text() for path in PACKAGE.rglob("*.py")}
    assert len(sources) > 150
    found = {module: words for module, text in sources.items() if (words := old_words(text))}
    assert found == {}


def test_an_old_word_is_found() -> None:
    """The control: of each kind of name one, and of those that only look like it none."""
    assert set(old_words("def _asked(place): ...\nclass Family: ...\nself.told = [one for one in x]")) == {
        "_asked", "place", "Family", "told", "one",
    }  # fmt: skip
    assert set(old_words("import a as said\ntry: ...\nexcept E as found: ...\nlambda met: met")) == {
        "said", "found", "met",
    }  # fmt: skip
    assert old_words("def leave_one_out(placed, metric, founded): notebook = made()") == {}
