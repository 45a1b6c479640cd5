"""A filter in words, compiled to a bitmap over the catalogue.

    {"category": "shoes"}                                  equal to it
    {"category": ["shoes", "bags"], "active": True}        any of the values, and active
    {"price": {"ge": 10, "lt": 50}}                        bounds: lt, le, gt, ge
    {"sizes": {"contains": 42}}                            one of the item's values, the same as {"sizes": 42}
    {"or": [{"price": {"lt": 5}}, {"sale": True}]}         one of them
    {"not": {"brand": "acme"}}                             not that

A mapping holds where all of its entries do. In a column of lists, an item has each value of its list; by a
column of vectors nothing is filtered. A
missing value equals nothing and is within no bounds, so `not` lets it pass. `and`, `or` and `not` are never
columns: a column of such a name must be renamed to be filtered on. The number 1, the truth value True and the
text "1" are three values; 1 and 1.0 are one number.

A filter has at most 1,000 conditions, 100,000 values in all its lists, and is nested at most 32 deep.
Conditions on one number, however many, are made one before any item is looked at.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Mapping
from functools import reduce
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from funnel.allow import packed
from funnel.catalogue.columns import FilterColumn
from funnel.catalogue.condition import Condition
from funnel.catalogue.expression import And, Expression, Not, Or, Where, read
from funnel.catalogue.filter_cache import FilterCache
from funnel.catalogue.layout import laid_out, load_column
from funnel.errors import BundleError

__all__ = ["Bitmap", "Filters", "Where"]

Bitmap: TypeAlias = NDArray[np.uint64]


class Filters:
    """The columns of a catalogue, laid out once so that a filter is compiled without reading them again.

    cache: the bitmaps of the conditions that were used last, in at most 64 MiB.
    """

    def __init__(self, columns: Mapping[str, FilterColumn], n: int) -> None:
        self._n, self._columns = n, dict(columns)
        self._everything = _kept(np.ones(self._n, dtype=np.bool_))
        self.cache = FilterCache()

    @classmethod
    def of(cls, frame: pd.DataFrame) -> Filters:
        """Laid out now, in about a second a million rows."""
        return cls({str(name): laid_out(str(name), frame[name]) for name in frame.columns}, len(frame))

    def save(self, folder: Path) -> None:
        """filters.json and the columns' arrays."""
        folder.mkdir(parents=True)
        about = [column.save(folder, number) for number, column in enumerate(self._columns.values())]
        (folder / "filters.json").write_text(json.dumps({"n": self._n, "columns": about}))

    @classmethod
    def load(cls, folder: Path, n: int) -> Filters:
        """What `save` wrote of a table of n rows, memory-mapped. Raises: BundleError when it is damaged."""
        path = folder / "filters.json"
        try:
            about = json.loads(path.read_text())
            if about["n"] != n:
                raise BundleError(f"{path}: is of {about['n']} items, not {n}; build the bundle again")
            columns = [
                load_column(folder, number, described, n) for number, described in enumerate(about["columns"])
            ]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BundleError(f"{path} cannot be read ({error!r}); build the bundle again") from error
        return cls({column.name: column for column in columns}, n)

    @property
    def columns(self) -> Mapping[str, FilterColumn]:
        """The columns, by name."""
        return self._columns

    def read(self, where: Where) -> Expression:
        """A filter on these columns, checked. Raises: ConfigError, see `funnel.catalogue.expression.read`."""
        return read(where, self._columns)

    def compile(self, where: Where) -> Bitmap:
        """The items that pass: uint64 [⌈n_items / 64⌉], a row of `Allow.bits`; not to be written to.

        Raises: ConfigError for what is no filter, one beyond the limits, an unknown column, naming those
        there are, an unknown bound, and a value that the column cannot have.
        """
        return self._bits(self.read(where))

    def mask(self, condition: Condition) -> NDArray[np.bool_]:
        """The items that pass one condition: bool [n_items]. Costs one mask and a step for each of them."""
        mask = np.zeros(self._n, dtype=np.bool_)
        mask[self._columns[condition.column].rows_of(condition)] = True
        return mask

    def _bits(self, expression: Expression) -> Bitmap:
        match expression:
            case And(parts):
                return reduce(operator.and_, map(self._bits, parts)) if parts else self._everything
            case Or(parts):
                return reduce(operator.or_, map(self._bits, parts), np.zeros_like(self._everything))
            case Not(part):
                return self._everything & ~self._bits(part)
            case _:
                return self._bitmap(expression)

    def _bitmap(self, condition: Condition) -> Bitmap:
        kept = self.cache.get(condition)
        if kept is not None:
            return kept.bits
        bits = _kept(self.mask(condition))
        self.cache.put(condition, bits)
        return bits


def _kept(mask: NDArray[np.bool_]) -> Bitmap:
    bits = packed(mask)
    bits.flags.writeable = False
    return bits
