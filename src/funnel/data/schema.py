"""The typed columns of the tables, and the check of a table against them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, Self, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, model_serializer, model_validator

from funnel.data.columns import ColumnKind, absent, convert, missing
from funnel.errors import DataError
from funnel.settings import Settings
from funnel.values.arrow import plain
from funnel.values.nearest import nearest
from funnel.values.where import GapError, Where, row_of

TableName: TypeAlias = Literal["users", "items", "events", "impressions"]

#: Columns that every table of that name has, beside those that the schema declares.
KEYS: dict[TableName, tuple[str, ...]] = {
    "users": ("user_id",),
    "items": ("item_id",),
    "events": ("user_id", "item_id", "time"),
    "impressions": ("request_id", "user_id", "item_id", "time", "position", "clicked"),
}

#: Columns that have a meaning of their own and may be there: `split` says "train" or "test", `kind` what
#: happened, such as a click or a purchase, `value` how much it was worth.
OPTIONAL: dict[TableName, tuple[str, ...]] = {
    "users": (),
    "items": (),
    "events": ("split", "kind", "value"),
    "impressions": (),
}


class Column(Settings):
    """One column beside the keys.

    A required column is there and has a usable value (a finite number, a list with something in it) in
    every row. Any other may be absent or have gaps.
    """

    name: str = Field(min_length=1)
    kind: ColumnKind
    required: bool = False
    size: int | None = Field(default=None, ge=1, description="numbers in a vector; for that kind only")
    context: bool = Field(
        default=False, description="known at the moment of the request: of events and impressions only"
    )
    encoder: str | None = Field(
        default=None,
        description="what turns a text into a vector, such as minilm; default its words; for that kind only",
    )

    @model_serializer(mode="wrap")
    def _without_defaults(self, written: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        # Schemas of before have no such keys, and their fingerprint is of a schema without them.
        later = {"context": self.context, "encoder": self.encoder}
        return {key: value for key, value in written(self).items() if later.get(key, True)}

    @model_validator(mode="after")
    def _sized(self) -> Self:
        if (self.kind == "vector") != (self.size is not None):
            raise ValueError(f"column {self.name!r}: `size` belongs to the kind vector, which must have it")
        if self.encoder is not None and self.kind != "text":
            raise ValueError(f"column {self.name!r}: `encoder` belongs to the kind text, not {self.kind}")
        return self


class Schema(Settings):
    """The typed columns of each table, beside its keys (see `KEYS`). Goes to JSON and back as it is."""

    users: tuple[Column, ...] = ()
    items: tuple[Column, ...] = ()
    events: tuple[Column, ...] = ()
    impressions: tuple[Column, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _of_earlier_versions(cls, raw: Any) -> Any:
        """Columns that have a meaning of their own since then, and were declared before."""
        if not isinstance(raw, dict) or not isinstance(raw.get("events"), list | tuple):
            return raw
        return {**raw, "events": [column for column in raw["events"] if not _has_meaning(column)]}

    @model_validator(mode="after")
    def _named_once(self) -> Self:
        for table in KEYS:
            names = [column.name for column in self.columns(table)]
            for name in names:
                if name in KEYS[table] + OPTIONAL[table]:
                    raise ValueError(f"{table}: column {name!r} is a key and need not be declared")
                if names.count(name) > 1:
                    raise ValueError(f"{table}: column {name!r} is declared twice")
        return self

    @model_validator(mode="after")
    def _context_is_of_moments(self) -> Self:
        for table in ("users", "items"):
            for column in self.columns(table):
                if column.context:
                    raise ValueError(
                        f"{table}: column {column.name!r} has context = true, which columns of events and "
                        "impressions may have: what is known of a request, and not of a user or an item"
                    )
        forms: dict[str, tuple[ColumnKind, int | None]] = {}
        for column in (*self.events, *self.impressions):
            if column.context and forms.setdefault(column.name, (column.kind, column.size)) != (
                column.kind,
                column.size,
            ):
                raise ValueError(
                    f"context column {column.name!r} is of one kind and size in events and of another in "
                    "impressions: declare it alike in both"
                )
        return self

    @property
    def context(self) -> tuple[Column, ...]:
        """The columns that are known at the moment of a request: those of events, then of impressions
        alone."""
        return tuple({c.name: c for c in (*self.impressions, *self.events) if c.context}.values())

    def columns(self, table: TableName) -> tuple[Column, ...]:
        """The declared columns of one table."""
        declared: tuple[Column, ...] = getattr(self, table)
        return declared

    def fingerprint(self) -> str:
        """Equal for equal schemas: sha256 of the JSON, hex."""
        parts = {table: [column.model_dump_json() for column in self.columns(table)] for table in KEYS}
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    def undeclared(self, names: Iterable[Any], table: TableName) -> list[str]:
        """Columns of a frame that `check` leaves out, sorted."""
        expected = {*KEYS[table], *OPTIONAL[table], *(column.name for column in self.columns(table))}
        return sorted({str(name) for name in names} - expected)

    def check(self, frame: pd.DataFrame, table: TableName, *, without: Sequence[str] = ()) -> pd.DataFrame:
        """The key columns as they are and the declared ones in the form of their kind, renumbered from 0.

        without: keys that may be absent here. Raises DataError for no table, a column that is there
        twice, an absent key or required column, a value of another type, or a gap in a required column.
        """
        self.check_names(frame, table, without=without)
        out = {}
        for name in KEYS[table] + OPTIONAL[table]:
            if name in frame.columns:
                out[name] = plain(frame[name]).reset_index(drop=True)
        for column in self.columns(table):
            out[column.name] = self.check_column(frame, table, column)
        return pd.DataFrame(out, index=pd.RangeIndex(len(frame)))

    def check_names(self, frame: pd.DataFrame, table: TableName, *, without: Sequence[str] = ()) -> None:
        """Raises: DataError for no table, a column that is there twice, and an absent key."""
        if not isinstance(frame, pd.DataFrame):
            raise DataError(f"{table} is a {type(frame).__name__}: a pandas DataFrame is expected")
        if not frame.columns.is_unique:
            twice = sorted({str(name) for name in frame.columns[frame.columns.duplicated()]})
            raise DataError(f"{table} has columns of the same name: {', '.join(twice)}")
        for name in KEYS[table]:
            if name not in frame.columns and name not in without:
                raise DataError(_not_there(frame, table, name))

    def check_column(
        self, frame: pd.DataFrame, table: TableName, column: Column, first: int = 0
    ) -> pd.Series:
        """One declared column in the form of its kind; see `check`.

        first: the number of the first row in errors, where the frame is a part of a longer one.
        """
        where = Where(f"{table}.{column.name}", first)
        if column.name not in frame.columns:
            if column.required:
                raise DataError(_not_there(frame, table, column.name))
            return absent(len(frame), column.kind, column.size)
        values = convert(frame[column.name], column.kind, column.size, where)
        if column.required:
            _check_gaps(missing(values, column.kind), where)
        return values


def _has_meaning(column: Any) -> bool:
    name = column.get("name") if isinstance(column, dict) else getattr(column, "name", None)
    return name in ("kind", "value")


def _check_gaps(gaps: NDArray[np.bool_], where: str) -> None:
    if not gaps.any():
        return
    raise GapError(
        lambda gaps, rows, first: (
            f"{where} is required, but {gaps} of {rows} rows have no usable value (the first is row {first})"
        ),
        int(gaps.sum()),
        len(gaps),
        row_of(where, int(gaps.argmax())),
    )


def _not_there(frame: pd.DataFrame, table: TableName, name: str) -> str:
    names = [str(column) for column in frame.columns]
    near = nearest(name, names)
    suggestion = f"; did you mean {near!r}?" if near else ""
    return f"{table} has no column {name!r}: it has {', '.join(names) or 'none'}{suggestion}"
