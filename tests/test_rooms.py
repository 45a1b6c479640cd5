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
