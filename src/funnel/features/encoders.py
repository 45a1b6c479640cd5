"""From a table to arrays: one encoder a column, fitted on the training window only."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from funnel.errors import BundleError
from funnel.features.columns import ColumnEncoder, Spec, fit_column, from_state, to_state
from funnel.types import Features

if TYPE_CHECKING:
    from funnel.data import Column

__all__ = ["Spec", "TableEncoder"]


class TableEncoder:
    """Encodes the declared columns of a table; see `Spec` for the forms.

    Missing, infinite and never seen values are normal input, and so is a table that lacks a column: all of
    its values are missing. Columns that were not declared are left out.
    """

    def __init__(self, columns: dict[str, ColumnEncoder]) -> None:
        self._columns = columns

    @classmethod
    def fit(cls, columns: Sequence[Column], frame: pd.DataFrame) -> TableEncoder:
        """Learn codes, means and widths from the rows given: those that the training window knows."""
        return cls(
            {
                column.name: fit_column(column.name, column.kind, column.size, _values(frame, column.name))
                for column in columns
            }
        )

    @property
    def specs(self) -> dict[str, Spec]:
        """The form of each encoded column, in the order of the schema."""
        return {name: encoder.spec for name, encoder in self._columns.items()}

    def encode(self, frame: pd.DataFrame) -> Features:
        """One array a column, first dimension len(frame)."""
        return {name: encoder.encode(_values(frame, name)) for name, encoder in self._columns.items()}

    def save(self, folder: Path) -> None:
        """Write `encoder.json`."""
        folder.mkdir(parents=True, exist_ok=True)
        state = {name: to_state(encoder) for name, encoder in self._columns.items()}
        (folder / "encoder.json").write_text(json.dumps(state))

    @classmethod
    def load(cls, folder: Path) -> TableEncoder:
        """What `save` wrote. Raises BundleError when it is missing or damaged."""
        path = folder / "encoder.json"
        try:
            state = json.loads(path.read_text())
            return cls({name: from_state(part) for name, part in state.items()})
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise BundleError(f"{path} cannot be read ({error!r}); build the bundle again") from error


def _values(frame: pd.DataFrame, name: str) -> list[object]:
    return frame[name].tolist() if name in frame.columns else [None] * len(frame)
