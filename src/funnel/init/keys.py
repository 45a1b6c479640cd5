"""Which columns of one table are its keys: by their names and by what is in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import numpy as np
import pandas as pd

from funnel.data.foreign import moments
from funnel.data.table_file import TableFile
from funnel.errors import DataError, FunnelError
from funnel.init import names
from funnel.init.sampling import Sample
from funnel.init.times import Moments, find_moments
from funnel.values.missing import quoted
from funnel.values.truths import truths
from funnel.values.words import words

#: A name that says it, whatever a caller says by `--key`.
TOLD = 2.0


@dataclass(frozen=True)
class Keyed:
    """A sampled table with what its columns could be. scores: by key, then by column; 0 is left out."""

    sample: Sample
    scores: Mapping[str, Mapping[str, float]]
    times: Mapping[str, Moments] = field(repr=False)

    def best(self, key: str) -> str | None:
        """The column that is most likely this key; the first of equal ones."""
        found = self.scores[key]
        return max(found, key=lambda name: found[name]) if found else None

    def score(self, key: str) -> float:
        """Of the best column; 0 where there is none."""
        return max(self.scores[key].values(), default=0.0)

    @cached_property
    def ids(self) -> dict[str, pd.Index]:
        """The distinct values of columns that can be ids, in writing, by column."""
        return {
            name: found
            for name in self.sample.names
            if (found := _distinct(self.sample.frame[name])) is not None
        }

    def unique(self, name: str) -> bool:
        """Whether no value of the column comes twice in the sample."""
        return not self.sample.frame[name].dropna().duplicated().any()


def find_keys(sample: Sample, told: Mapping[str, str]) -> Keyed:
    """told: keys whose columns the caller names."""
    frame = sample.frame
    columns = {name: frame[name] for name in sample.names}
    times = {
        name: found
        for name, column in columns.items()
        if _may_be_time(name, column) and (found := find_moments(column))
    }
    ids = {name: column for name, column in columns.items() if _distinct(column) is not None}
    scores: dict[str, dict[str, float]] = {key: _scored(ids, partial(_role, key)) for key in names.ROLES}
    if not scores["user_id"]:  # who has no number has an address
        scores["user_id"] = _scored(ids, lambda n, _: 0.4 * (names.words(n)[-1:] in (["email"], ["mail"])))
    if not scores["request_id"]:  # a visit is a list where lists have no name of their own
        scores["request_id"] = _scored(columns, lambda name, _: 0.4 * (names.words(name)[:1] == ["session"]))
    scores["time"] = {name: _time_score(name, columns[name]) for name in times}
    scores["position"] = _scored(columns, lambda n, c: names.exact("position", n) * _are_positions(c))
    scores["clicked"] = _scored(columns, lambda n, c: names.exact("clicked", n) * _are_truths(c))
    for key, name in told.items():
        if key == "time" and name in columns and name not in times:
            if (found := find_moments(columns[name])) is None:
                raise DataError(f"{sample}: {name} holds no moments, but {quoted(columns[name].iloc[0])}")
            times[name] = found
        if name in columns:
            for found_scores in scores.values():
                found_scores.pop(name, None)
            scores[key] = {**scores.get(key, {}), name: TOLD}
    _each_once(scores)
    return Keyed(sample, scores, times)


def _role(key: str, name: str, _: pd.Series) -> float:
    return names.role(key, name)


def _scored(columns: Mapping[str, pd.Series], score: Callable[[str, pd.Series], float]) -> dict[str, float]:
    found = {name: float(score(name, column)) for name, column in columns.items()}
    return {name: one for name, one in found.items() if one}


def _each_once(scores: dict[str, dict[str, float]]) -> None:
    """A column is what it is most; `content_request_id` is no item."""
    for name in {name for found in scores.values() for name in found}:
        most = max(found.get(name, 0.0) for found in scores.values())
        holders = [key for key, found in scores.items() if name in found]
        winner = next(key for key in holders if scores[key][name] == most)
        for key in holders:
            if key != winner:
                del scores[key][name]


def _may_be_time(name: str, column: pd.Series) -> bool:
    """Numbers are moments only where the name says so; dates in writing are in any case."""
    if names.exact("time", name) or pd.api.types.is_datetime64_any_dtype(column.dtype):
        return True
    some = list(column.dropna().iloc[:5])
    return bool(some) and all(isinstance(one, str) and any(mark in one for mark in "-/.") for one in some)


def _time_score(name: str, column: pd.Series) -> float:
    """The finer a clock, the better; a birthday and an update are moments of something else."""
    about = {
        "birth",
        "birthday",
        "born",
        "updated",
        "modified",
        "expires",
        "expiry",
        "end",
        "signup",
        "registered",
    }
    if about & set(names.words(name)):
        return 0.1
    said = names.exact("time", name) or 0.3
    return float(said + 0.2 * column.nunique() / max(len(column), 1))


def _distinct(column: pd.Series) -> pd.Index | None:
    """The ids of a column in writing; None for fractions, lists, truth values and long texts."""
    present = column.dropna()
    if not len(present) or pd.api.types.is_bool_dtype(column.dtype):
        return None
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return None
    if pd.api.types.is_float_dtype(column.dtype) and ((present % 1) != 0).any():
        return None
    try:
        distinct = present.drop_duplicates() if present.dtype != object else present
        found = words(distinct, "").dropna().drop_duplicates()
    except FunnelError:
        return None
    return None if not len(found) or found.str.len().median() > 80 else pd.Index(found)


def _are_positions(column: pd.Series) -> bool:
    numbers = pd.to_numeric(column, errors="coerce").astype("float64")
    return bool(len(numbers) and ((numbers >= 0) & (numbers % 1 == 0) & (numbers < 2**31)).all())


def _are_truths(column: pd.Series) -> bool:
    try:
        return bool(truths(column.drop_duplicates().dropna().reset_index(drop=True), "").notna().all())
    except FunnelError:
        return False


def seconds_of(keyed: Keyed) -> Any:
    """The times of the sample as its file will be read: float64 [rows], NaN where there is none."""
    name = keyed.best("time")
    if name is None:
        return np.full(len(keyed.sample.frame), np.nan)
    return keyed.times[name].seconds.reindex(keyed.sample.frame.index).to_numpy(dtype=np.float64)


def reads(form: TableFile, column: pd.Series) -> bool:
    """Whether the reader takes the times."""
    try:
        moments(column, form, "time")
    except FunnelError:
        return False
    return True
