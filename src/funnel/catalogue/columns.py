"""Columns as filters see them: checks of the values and bounds that a filter names."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from funnel.catalogue.condition import Bound, Condition, Number
from funnel.errors import ConfigError
from funnel.types import Int32
from funnel.values.shown import shown

_BOUNDS = ("lt", "le", "gt", "ge")


@dataclass(frozen=True, eq=False)
class FilterColumn:
    """A column laid out for filters: the rows whose value is not missing, sorted by value.

    rows: int32 [m]. kinds: what its values are: number, truth value, text, or the name of another type.
    """

    name: str
    rows: Int32
    kinds: frozenset[str]

    @property
    def single(self) -> bool:
        """Whether a row has one value at most, and not a list of them."""
        return False

    @property
    def ordered(self) -> bool:
        """Whether it holds numbers, of which there are bounds."""
        return False

    def values(self, wanted: Any, most: int) -> list[tuple[str, Any]]:
        """The values that a filter wants of this column, each with its kind.

        wanted: one value, or a list of at most `most`.

        Raises: ConfigError for a missing one, one that cannot be looked up, too many, and where the column
        can have none of them.
        """
        many = isinstance(wanted, list | tuple | set | frozenset | pd.Series | pd.Index) or (
            isinstance(wanted, np.ndarray) and wanted.ndim == 1
        )
        if many and len(wanted) > most:
            raise self._wrong(
                f"{len(wanted):,} values are listed; {most:,} are left of what a filter may list"
            )
        values = [self._value(value) for value in (wanted if many else [wanted])]
        if values and self.kinds and not any(kind in self.kinds for kind, _ in values):
            kind, value = values[0]
            raise self._wrong(f"{shown(value)} is a {kind}; this column holds {self._holds}")
        return values

    def bounds(self, wanted: Mapping[Any, Any]) -> dict[Bound, Number]:
        """The bounds that a filter wants, by name: numbers for lt, le, gt, ge.

        Raises: ConfigError for none, an unknown name, a limit that is no number, and a column without
        numbers.
        """
        unknown = [shown(bound) for bound in wanted if bound not in _BOUNDS]
        if unknown or not wanted:
            raise self._wrong(
                f"unknown bound [{', '.join(unknown[:3])}]; use {sorted(_BOUNDS)}"
                if unknown
                else "no bound given"
            )
        if not self.ordered and self.kinds:
            raise self._wrong(f"bounds need a number column, this one holds {self._holds}")
        limits: dict[Bound, Number] = {bound: plain_value(limit) for bound, limit in wanted.items()}
        for bound, limit in limits.items():
            if kind_of(limit) != "number" or _is_nan(limit):
                raise self._wrong(f"bound '{bound}' is {shown(limit)}; it must be a number")
        return limits

    def rows_of(self, condition: Condition) -> Int32:
        """The rows that pass a condition on this column; a row may be there twice."""
        raise NotImplementedError

    def save(self, folder: Path, number: int) -> dict[str, Any]:
        """Write the arrays as `NUMBER.*`; the rest, for `load_column`."""
        np.save(folder / f"{number}.rows.npy", self.rows)
        return {"name": self.name, "kinds": sorted(self.kinds)}

    def _value(self, value: Any) -> tuple[str, Any]:
        """One value with its kind."""
        value = plain_value(value)
        if (
            value is None
            or value is pd.NA
            or value is pd.NaT
            or (isinstance(value, float) and value != value)
        ):
            raise self._wrong(f"{shown(value)} is no value to look for; a missing one equals nothing")
        value = self._meant(value)
        kind = kind_of(value)
        if not isinstance(value, str | int | float) and not (
            kind in self.kinds and isinstance(value, Hashable)
        ):
            raise self._wrong(f"{shown(value)} is no single value")
        return kind, value

    def _meant(self, value: Any) -> Any:
        """A wanted value in the form that this column has."""
        return value

    @property
    def _holds(self) -> str:
        return " or ".join(f"{kind}s" for kind in sorted(self.kinds))

    def _wrong(self, what: str) -> ConfigError:
        return ConfigError(f"filter on '{self.name}': {what}")


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and value != value


def plain_value(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def kind_of(value: Any) -> str:
    if isinstance(value, bool):
        return "truth value"
    if isinstance(value, int | float):
        return "number"
    return "text" if isinstance(value, str) else type(value).__name__
