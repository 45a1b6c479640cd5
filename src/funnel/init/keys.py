"""Scores the columns of a table as keys, by their names and their values."""

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
from funnel.init.times import Moments, find_moments, why_no_moments
from funnel.values.missing import quoted
from funnel.values.truths import truths
from funnel.values.words import words

#: The score of a column that the caller gave by `--key`: above any other.
GIVEN = 2.0


@dataclass(frozen=True)
class Keyed:
    """A sampled table with scores of its columns as keys.

    scores: by key, then by column; 0 is left out. times: by column, for columns that hold moments.
    """

    sample: Sample
    scores: Mapping[str, Mapping[str, float]]
    times: Mapping[str, Moments] = field(repr=False)

    def best(self, key: str) -> str | None:
        """The column that is most likely this key; the first of equal ones."""
        scores = self.scores[key]
        return max(scores, key=lambda name: scores[name]) if scores else None

    def score(self, key: str) -> float:
        """The score of the best column; 0 where there is none."""
        return max(self.scores[key].values(), default=0.0)

    @cached_property
    def ids(self) -> dict[str, pd.Index]:
        """By column, for those that can be ids: the distinct values as text."""
        return {
            name: distinct
            for name in self.sample.names
            if (distinct := _distinct(self.sample.frame[name])) is not None
        }

    def unique(self, name: str) -> bool:
        """Whether no value of the column comes twice in the sample."""
        return not self.sample.frame[name].dropna().duplicated().any()


def find_keys(sample: Sample, given: Mapping[str, str]) -> Keyed:
    """Score the columns of a sampled table. given: columns by key, as the caller named them.

    Raises: DataError where the column given as time holds no moments.
    """
    frame = sample.frame
    columns = {name: frame[name] for name in sample.names}
    times = {
        name: in_column
        for name, column in columns.items()
        if _may_be_time(name, column) and (in_column := find_moments(column))
    }
    ids = {name: column for name, column in columns.items() if _distinct(column) is not None}
    scores: dict[str, dict[str, float]] = {key: _scored(ids, partial(_role, key)) for key in names.ROLES}
    if not scores["user_id"]:  # without a number, the address identifies the user
        scores["user_id"] = _scored(ids, lambda n, _: 0.4 * (names.words(n)[-1:] in (["email"], ["mail"])))
    if not scores["request_id"]:  # a visit is a list where lists have no name of their own
        scores["request_id"] = _scored(columns, lambda name, _: 0.4 * (names.words(name)[:1] == ["session"]))
    scores["time"] = {name: _time_score(name, columns[name]) for name in times}
    scores["position"] = _scored(columns, lambda n, c: names.exact("position", n) * _are_positions(c))
    scores["clicked"] = _scored(columns, lambda n, c: names.exact("clicked", n) * _are_truths(c))
    for key, name in given.items():
        if key == "time" and name in columns and name not in times:
            if (in_column := find_moments(columns[name])) is None:
                why = why_no_moments(columns[name].dropna().astype("str").str.strip())
                why = why or f"no moments, but {quoted(columns[name].iloc[0])}"
                raise DataError(f"{sample}: {name} holds {why}")
            times[name] = in_column
        if name in columns:
            for by_column in scores.values():
                by_column.pop(name, None)
            scores[key] = {**scores.get(key, {}), name: GIVEN}
    _each_once(scores)
    return Keyed(sample, scores, times)


def _role(key: str, name: str, _: pd.Series) -> float:
    return names.role(key, name)


def _scored(columns: Mapping[str, pd.Series], score: Callable[[str, pd.Series], float]) -> dict[str, float]:
    scores = {name: float(score(name, column)) for name, column in columns.items()}
    return {name: value for name, value in scores.items() if value}


def _each_once(scores: dict[str, dict[str, float]]) -> None:
    """Keep only the best score of each column: `content_request_id` is not an item."""
    for name in {name for by_column in scores.values() for name in by_column}:
        most = max(by_column.get(name, 0.0) for by_column in scores.values())
        holders = [key for key, by_column in scores.items() if name in by_column]
        winner = next(key for key in holders if scores[key][name] == most)
        for key in holders:
            if key != winner:
                del scores[key][name]


def _may_be_time(name: str, column: pd.Series) -> bool:
    """Whether to look for moments: in numbers only where the name says so, in dates as text always."""
    if names.exact("time", name) or pd.api.types.is_datetime64_any_dtype(column.dtype):
        return True
    some = list(column.dropna().iloc[:5])
    return bool(some) and all(isinstance(text, str) and any(mark in text for mark in "-/.") for text in some)


def _time_score(name: str, column: pd.Series) -> float:
    """A score as the time of events: the finer, the better; a birthday or an update is another moment."""
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
    by_name = names.exact("time", name) or 0.3
    return float(by_name + 0.2 * column.nunique() / max(len(column), 1))


def _distinct(column: pd.Series) -> pd.Index | None:
    """The distinct ids of a column as text; None for fractions, lists, truth values and long texts."""
    present = column.dropna()
    if not len(present) or pd.api.types.is_bool_dtype(column.dtype):
        return None
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return None
    if pd.api.types.is_float_dtype(column.dtype) and ((present % 1) != 0).any():
        return None
    try:
        distinct = present.drop_duplicates() if present.dtype != object else present
        texts = words(distinct, "").dropna().drop_duplicates()
    except FunnelError:
        return None
    return None if not len(texts) or texts.str.len().median() > 80 else pd.Index(texts)


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
