"""Bundles as `funnel.pipeline.build` makes them, but for the plots of their report's page, which are empty.

To draw them is a quarter of a small build. Drawn are those of `built`, of what commands build, and of
tests/evaluation/test_report_pages.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any

import pytest

from funnel import pipeline
from funnel.artifacts import Store
from funnel.pipeline import Built, Prepared


def build(prepared: Prepared, towers: Path, store: Store) -> Built:
    """A bundle of these towers in the store."""
    from matplotlib.figure import Figure

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", _empty)
        return pipeline.build(prepared, towers, store)


def _empty(figure: Any, file: IO[str], **_: Any) -> None:
    file.write("<svg></svg>")
