"""The examples in docstrings give what they say."""

from __future__ import annotations

import doctest
import importlib
import re
from pathlib import Path

import pytest

from tests.conftest import ROOT

SOURCE = ROOT / "src"


def with_examples() -> list[str]:
    """Modules with an example in a docstring."""
    paths = (path for path in SOURCE.rglob("*.py") if re.search(r"^ +>>> ", path.read_text(), re.MULTILINE))
    return sorted(module_name(path) for path in paths)


def module_name(path: Path) -> str:
    """Such as "funnel.values.text"."""
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.mark.parametrize("name", with_examples())
def test_examples_in_docstrings_are_right(name: str) -> None:
    outcome = doctest.testmod(importlib.import_module(name))
    assert outcome.attempted > 0
    assert outcome.failed == 0


def test_there_are_some() -> None:
    assert {"funnel.types.ragged", "funnel.values.nearest", "funnel.index.auto"} <= set(with_examples())
