"""What is public is what `funnel` lists: described, loaded when asked for, all that examples use."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import funnel
from tests.conftest import ROOT
from tests.test_docs import blocks

ROW = re.compile(r"^\| `(\w+)` \| (.+) \| (stable|provisional) \|$", re.MULTILINE)

#: What no program pays for that only imports the package.
HEAVY = ("torch", "matplotlib", "http", "urllib.request", "pandas", "numpy", "pydantic", "numba", "faiss")


def summary(name: str) -> str:
    """The first sentence of a public name's docstring."""
    text = inspect.getdoc(getattr(funnel, name)) or ""
    return re.split(r"(?<=\.)\s", " ".join(text.split("\n\n")[0].split()))[0]


def beyond_the_face(code: str) -> Iterator[str]:
    """Names that a program takes from funnel's rooms, or that `funnel` does not list."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names if one.name.startswith("funnel."))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "funnel":
            names = [one.name for one in node.names if one.name not in funnel.__all__]
            yield from ([str(node.module)] if node.module != "funnel" else names)
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "funnel":
            yield from () if node.attr in funnel.__all__ else (f"funnel.{node.attr}",)


def programs() -> list[tuple[str, str]]:
    """Every piece of Python in documents and examples: where, code."""
    examples = sorted((ROOT / "examples").rglob("*.py"))
    return [*blocks("python"), *((path.name, path.read_text()) for path in examples)]


def test_dir_lists_what_is_public_in_order() -> None:
    assert dir(funnel) == sorted(funnel.__all__)
    assert set(funnel._HOME) | {"__version__"} == set(funnel.__all__)


def test_editors_and_type_checkers_see_what_is_loaded() -> None:
    """The imports under TYPE_CHECKING and the table of homes say the same."""
    tree = ast.parse(Path(funnel.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {
        one.asname or one.name: (f"{node.module}:{one.name}" if one.asname else str(node.module))
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for one in node.names
    }
    assert seen == funnel._HOME


@pytest.mark.parametrize("name", [name for name in funnel.__all__ if name != "__version__"])
def test_every_public_name_is_there_and_described(name: str) -> None:
    assert callable(getattr(funnel, name))
    assert len(summary(name)) > 10


def test_the_document_has_a_line_and_a_stability_for_each() -> None:
    rows = {name: text for name, text, _ in ROW.findall((ROOT / "docs" / "python.md").read_text())}
    described = {name: summary(name) for name in funnel.__all__ if name != "__version__"}
    assert rows == {**described, "__version__": "The version of the installed distribution."}
    assert list(rows) == sorted(rows)


def test_a_name_that_is_not_there_is_refused() -> None:
    with pytest.raises(AttributeError, match=r"has no attribute 'live'; it has .*Live"):
        funnel.live  # noqa: B018


def test_the_version_is_that_of_the_distribution() -> None:
    said = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert funnel.__version__ == said


@pytest.mark.parametrize("code", ["import funnel", "import funnel; dir(funnel); funnel.FunnelError"])
def test_an_import_loads_no_library(code: str) -> None:
    """In a process that was started from nothing; errors are free too."""
    code += f"\nimport sys; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr


def test_what_serves_loads_neither_training_nor_plots() -> None:
    code = "import funnel, sys; funnel.Live, funnel.Dataset, funnel.configure('a'), funnel.publish"
    code += "\nprint([name for name in ('torch', 'onnx', 'matplotlib', 'lightgbm') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize(("where", "code"), programs())
def test_documents_and_examples_use_what_is_public(where: str, code: str) -> None:
    assert list(beyond_the_face(code)) == [], where


def test_what_is_not_public_is_found() -> None:
    """The control."""
    code = "import funnel.data\nfrom funnel.gates import judge\nfrom funnel import nobody\nfunnel.serving"
    assert set(beyond_the_face(code)) == {"funnel.data", "funnel.gates", "nobody", "funnel.serving"}


def test_data_that_a_program_passes_are_not_read() -> None:
    with pytest.raises(funnel.DataError, match=r"funnel\.prepare\(config, dataset\)"):
        funnel.prepare(funnel.configure("shop"))
    with pytest.raises(funnel.ConfigError, match=r"unknown key 'towers\.epoch'; did you mean 'epochs'"):
        funnel.configure("shop", towers={"epoch": 1})
