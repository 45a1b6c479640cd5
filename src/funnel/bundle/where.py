"""A filter in words, compiled to a bitmap over the catalogue.

    {"category": "shoes"}                                  equal to it
    {"category": ["shoes", "bags"], "active": True}        any of the values, and active
    {"price": {"ge": 10, "lt": 50}}                        bounds: lt, le, gt, ge
    {"or": [{"price": {"lt": 5}}, {"sale": True}]}         one of them
    {"not": {"brand": "acme"}}                             not that

A mapping holds where all of its entries do. In a column of lists, an item has each value of its list. A
missing value equals nothing and is within no bounds, so `not` lets it pass. `and`, `or` and `not` are never
columns: a column of such a name must be renamed to be filtered on.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache, reduce
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from funnel.allow import packed
from funnel.bundle.columns import Column, laid_out, load_column
from funnel.errors import BundleError, ConfigError

Where: TypeAlias = Mapping[str, Any]
Bitmap: TypeAlias = NDArray[np.uint64]

_KEPT_BYTES = 64 << 20


class Filters:
    """The columns of a catalogue, laid out once so that a filter is compiled without reading them again.

    The bitmaps of conditions are kept, the latest used first, in at most 64 MiB: filters come again.
    """

    def __init__(self, columns: Mapping[str, Column], n: int) -> None:
        self._n, self._columns = n, dict(columns)
        self._everything = _kept(np.ones(self._n, dtype=np.bool_))
        size = max(16, _KEPT_BYTES // max(1, self._everything.nbytes))
        self._bitmap = lru_cache(maxsize=size)(self._condition)

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
            columns = [load_column(folder, number, one, n) for number, one in enumerate(about["columns"])]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BundleError(f"{path} cannot be read ({error!r}); build the bundle again") from error
        return cls({column.name: column for column in columns}, n)

    def compile(self, where: Where) -> Bitmap:
        """The items that pass: uint64 [⌈n_items / 64⌉], a row of `Allow.bits`; not to be written to.

        Raises: ConfigError for an unknown column, naming those there are, for an unknown bound, and for a
        value that the column cannot have.
        """
        return self._all(self._entry(key, wanted) for key, wanted in _mapping(where, "a filter").items())

    def _entry(self, key: str, wanted: Any) -> Bitmap:
        if key == "and":
            return self._all(self._each(key, wanted))
        if key == "or":
            return self._combine(operator.or_, self._each(key, wanted), ~self._everything)
        if key == "not":
            return self._everything & ~self.compile(_mapping(wanted, "'not'"))
        column = self._columns.get(key)
        if column is None:
            known = ", ".join(self._columns) or "none"
            raise ConfigError(f"filter on '{key}': no such item column; there are: {known}")
        if isinstance(wanted, Mapping):
            return self._bitmap(key, "bounds", frozenset(column.bounds(wanted).items()))
        return self._bitmap(key, "values", frozenset(column.values(wanted)))

    def _condition(self, name: str, kind: str, wanted: frozenset[Any]) -> Bitmap:
        column: Column = self._columns[name]
        mask = np.zeros(self._n, dtype=np.bool_)
        slices = [column.within(dict(wanted))] if kind == "bounds" else column.equal(wanted)
        for part in slices:
            mask[column.rows[part]] = True
        return _kept(mask)

    def _each(self, key: str, wanted: Any) -> Iterable[Bitmap]:
        if not isinstance(wanted, list | tuple):
            raise ConfigError(f"filter: '{key}' takes a list of filters, not {wanted!r}")
        return [self.compile(_mapping(part, f"each part of '{key}'")) for part in wanted]

    def _all(self, parts: Iterable[Bitmap]) -> Bitmap:
        return self._combine(operator.and_, parts, self._everything)

    @staticmethod
    def _combine(both: Callable[[Bitmap, Bitmap], Bitmap], parts: Iterable[Bitmap], start: Bitmap) -> Bitmap:
        return reduce(both, parts, start)


def _mapping(value: Any, what: str) -> Where:
    if not isinstance(value, Mapping):
        raise ConfigError(f'filter: {what} must be like {{"column": value}}, not {value!r}')
    return value


def _kept(mask: NDArray[np.bool_]) -> Bitmap:
    bits = packed(mask)
    bits.flags.writeable = False
    return bits
