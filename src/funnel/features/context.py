"""What is known at the moment of a request: declared columns, and the hour and the day, encoded."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, field_validator

from funnel.errors import BundleError, ConfigError
from funnel.features.encoders import TableEncoder
from funnel.features.moments import CLOCK, clock_columns, clock_names
from funnel.features.spec import Spec
from funnel.settings import Settings
from funnel.types import Clock, Features, Int32, Int64
from funnel.values.nearest import hint
from funnel.values.numbers import lenient

if TYPE_CHECKING:
    from funnel.data import Column


class ContextConfig(Settings):
    """What is used of what is known at the moment of a request."""

    columns: tuple[str, ...] | None = Field(
        None,
        description="columns of events and impressions that are declared with context = true; default all, "
        "[] for none",
    )
    clock: bool = Field(
        False, description="also the hour of the day and the day of the week, `hour` and `weekday`"
    )
    timezone: str = Field("UTC", description="of these two: a name of the IANA database")

    @field_validator("timezone")
    @classmethod
    def _is_one(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError('no such time zone; "UTC" or a name such as "Europe/Berlin"') from error
        return name

    def chosen(self, declared: Sequence[Column], clock: Clock) -> tuple[Column, ...]:
        """The columns that are used, in the order of the schema. clock: of the data.

        Raises: ConfigError for a name that is not declared, with the nearest; for a clock that the data do
        not have, and a declared column of the name that a clock's has.
        """
        names = [column.name for column in declared]
        for name in self.columns or ():
            if name not in names:
                raise ConfigError(
                    f"context.columns: no column {name!r} has context = true; {hint(name, names)}"
                )
        chosen = tuple(c for c in declared if self.columns is None or c.name in self.columns)
        if self.clock and clock != "time":
            raise ConfigError(f'context.clock: these data have no times (clock "{clock}"); set it to false')
        if self.clock and (both := [column.name for column in chosen if column.name in CLOCK]):
            raise ConfigError(
                f"context.clock gives a column {both[0]!r}, which is declared too: rename that one"
            )
        return chosen


@dataclass(frozen=True)
class ContextEncoder:
    """Encodes what is known at the moment of a request, fitted on rows of the training window.

    table: of the declared columns. numbers: those of them that are numbers. own: those that the query tower
    reads, for they are there in the events that it learns from. clock, timezone: see `ContextConfig`.
    """

    table: TableEncoder
    numbers: tuple[str, ...]
    own: tuple[str, ...]
    clock: bool
    timezone: str

    @property
    def specs(self) -> dict[str, Spec]:
        """The form of each column."""
        return {**self.table.specs, **(CLOCK if self.clock else {})}

    @property
    def tower_specs(self) -> dict[str, Spec]:
        """Those of what the query tower reads."""
        return {name: spec for name, spec in self.specs.items() if name in self.own or name in CLOCK}

    def values(self, name: str) -> list[str]:
        """What the codes of a column stand for, from code 1; empty for one that has no codes."""
        return clock_names()[name] if self.clock and name in CLOCK else self.table.values(name)

    def example(self) -> dict[str, str]:
        """What a request may say: the commonest value of each column that has codes."""
        return {name: values[0] for name in self.table.specs if (values := self.table.values(name))}

    def encode(self, frame: pd.DataFrame, times: Int64) -> Features:
        """Rows of a table, at these moments; a column that it lacks is missing."""
        encoded = {name: self._column(name, spec, frame) for name, spec in self.table.specs.items()}
        return {**encoded, **self._clock(times)}

    def numbers_of(self, frame: pd.DataFrame) -> Features:
        """The numbers of rows of a table as they are: float64, NaN where one is missing or infinite."""
        none = np.full(len(frame), np.nan)
        there = {name: frame[name].to_numpy(np.float64) for name in self.numbers if name in frame}
        return {name: _finite(there.get(name, none)) for name in self.numbers}

    def given(self, times: Int64, contexts: Sequence[Mapping[str, Any]]) -> tuple[Features, Features]:
        """What requests bring, checked: encoded columns, and the numbers as they are. Columns that nobody
        brings are left out."""
        named = dict.fromkeys(name for context in contexts for name in context)
        columns = {name: [context.get(name) for context in contexts] for name in named}
        encoded = {name: self.table.encode_column(name, values) for name, values in columns.items()}
        numbers = {name: _finite(lenient(columns[name])) for name in self.numbers if name in columns}
        return {**encoded, **self._clock(times)}, numbers

    def translated(self, context: Features, numbers: Features, other: ContextEncoder) -> Features:
        """Columns that this one encoded, as another one does; those that it does not have are left out.

        numbers: as they are. What only this one knows is what was never seen to the other.
        """
        specs, theirs = self.specs, other.specs
        shared = (name for name in context if name in theirs and theirs[name].kind == specs[name].kind)
        out = {name: self._translated(name, context[name], numbers, other) for name in shared}
        return {name: values for name, values in out.items() if values is not None}

    def _translated(self, name: str, values: Any, numbers: Features, other: ContextEncoder) -> Any:
        spec, theirs = self.specs[name], other.specs[name]
        if spec.kind == "number":
            return other.table.encode_column(name, numbers[name].tolist()) if name in numbers else None
        if spec.kind == "vector":
            return values if spec.width == theirs.width else None
        codes = {value: code for code, value in enumerate(other.values(name), start=1)}
        new = np.array([0, *(codes.get(value, 0) for value in self.values(name))], dtype=np.int32)[values]
        if spec.kind == "category":
            return new
        out = np.zeros((len(new), theirs.width), dtype=np.int32)
        for row, some in enumerate(new):
            kept = np.unique(some[some > 0])[-theirs.width :]
            out[row, : len(kept)] = kept
        return out

    def _clock(self, times: Int64) -> Features:
        return clock_columns(times, self.timezone) if self.clock else {}

    def _column(self, name: str, spec: Spec, frame: pd.DataFrame) -> Any:
        """One column of a table; each value of a category is looked up once."""
        if name not in frame:
            return self.table.encode_column(name, [None] * len(frame))
        if spec.kind != "category":
            return self.table.encode_column(name, frame[name].tolist())
        positions, distinct = pd.factorize(frame[name])
        codes: Int32 = np.append(self.table.encode_column(name, distinct.tolist()), np.int32(0))
        return codes[positions]

    def save(self, folder: Path) -> None:
        """encoder.json and its values, and context.json."""
        self.table.save(folder)
        about = {"numbers": self.numbers, "own": self.own, "clock": self.clock, "timezone": self.timezone}
        (folder / "context.json").write_text(json.dumps(about))

    @classmethod
    def load(cls, folder: Path) -> ContextEncoder | None:
        """What `save` wrote; None where there is no such folder. Raises: BundleError where it is damaged."""
        if not folder.is_dir():
            return None
        path = folder / "context.json"
        try:
            about = json.loads(path.read_text())
            config = ContextConfig(clock=about["clock"], timezone=about["timezone"])
            numbers, own = tuple(map(str, about["numbers"])), tuple(map(str, about["own"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BundleError(f"{path} cannot be read ({error!r}); build the bundle again") from error
        return cls(TableEncoder.load(folder), numbers, own, config.clock, config.timezone)


def _finite(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(np.isfinite(values), values, np.nan)
