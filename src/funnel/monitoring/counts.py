"""What is counted of answers: sums, so that a minute, an hour and a day are made of each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray


class Rate(NamedTuple):
    """A rate: its kind of alarm, of what, and of which part of the answers; empty: all."""

    kind: str
    subject: str = ""
    part: str = ""


class Variable(NamedTuple):
    """A value whose distribution is watched, one an answer: its kind of alarm, and of what."""

    kind: str
    subject: str = ""


Key = TypeVar("Key", Rate, Variable)


#: Seconds that must have been looked at, to know how many answers there are in one.
_KNOWN = 600.0


class Counts:
    """Sums over answers.

    answers: how many, and in how many seconds that were looked at: an hour may be known in part. age: hours
    since the data of the bundle that gave the last; None where not known.
    rates: of each, how often and of how many: [2]. bins: of each metric, values in each bin. labels: of each,
    over answers, the sums of 1, x, e, x², x·e and e², where x is what was clicked and e what was to be
    expected, or 1: [6].
    """

    __slots__ = ("age", "answers", "bins", "labels", "rates", "seconds")

    def __init__(self) -> None:
        self.answers, self.seconds = 0, 0.0
        self.age: float | None = None
        self.rates: dict[Rate, NDArray[np.float64]] = {}
        self.bins: dict[Variable, NDArray[np.float64]] = {}
        self.labels: dict[Variable, NDArray[np.float64]] = {}

    @property
    def per_second(self) -> float | None:
        """Answers a second; None where too little was looked at to say."""
        return self.answers / self.seconds if self.seconds >= _KNOWN else None

    def rate(self, rate: Rate, happened: float, n: float = 1) -> None:
        """Count that it happened so often in n."""
        self.rates.setdefault(rate, np.zeros(2))[:] += (happened, n)

    def bin(self, metric: Variable, number: int, n_bins: int) -> None:
        """Count a value by its bin."""
        self.bins.setdefault(metric, np.zeros(n_bins))[number] += 1

    def label(self, metric: Variable, happened: float, expected: float = 1.0) -> None:
        """Count an answer's clicks beside what was to be expected."""
        x, e = happened, expected
        self.labels.setdefault(metric, np.zeros(6))[:] += (1, x, e, x * x, x * e, e * e)

    def add(self, other: Counts) -> Counts:
        """The other's sums are added to these. Bins that became other ones begin anew."""
        self.answers += other.answers
        self.seconds += other.seconds
        self.age = other.age if other.age is not None else self.age
        _add(self.rates, other.rates)
        _add(self.bins, other.bins)
        _add(self.labels, other.labels)
        return self

    def without(self, kinds: set[tuple[str, str]]) -> Counts:
        """The same without what is said to be wrong. kinds: kinds and subjects."""
        kept = Counts()
        kept.age = self.age
        if ("traffic", "") not in kinds:
            kept.answers, kept.seconds = self.answers, self.seconds
        kept.rates = {rate: sums for rate, sums in self.rates.items() if rate[:2] not in kinds}
        kept.bins = {metric: sums for metric, sums in self.bins.items() if metric not in kinds}
        kept.labels = {metric: sums for metric, sums in self.labels.items() if metric not in kinds}
        return kept

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "answers": self.answers,
            "seconds": self.seconds,
            "age": self.age,
            "rates": [[*rate, *map(float, sums)] for rate, sums in self.rates.items()],
            "bins": [[*metric, sums.tolist()] for metric, sums in self.bins.items()],
            "labels": [[*metric, sums.tolist()] for metric, sums in self.labels.items()],
        }

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Counts:
        """What `to_dict` wrote."""
        counts = cls()
        counts.answers = int(raw["answers"])
        counts.seconds = float(raw.get("seconds", 3600.0))  # an earlier funnel took each hour for a whole one
        counts.age = None if raw["age"] is None else float(raw["age"])
        for kind, subject, part, happened, n in raw["rates"]:
            counts.rates[Rate(kind, subject, part)] = np.array([happened, n], dtype=np.float64)
        for kind, subject, sums in raw["bins"]:
            counts.bins[Variable(kind, subject)] = np.array(sums, dtype=np.float64)
        for kind, subject, sums in raw["labels"]:
            counts.labels[Variable(kind, subject)] = np.array(sums, dtype=np.float64)
        return counts


def _add(mine: dict[Key, NDArray[np.float64]], theirs: Mapping[Key, NDArray[np.float64]]) -> None:
    for key, sums in theirs.items():
        before = mine.get(key)
        mine[key] = sums.copy() if before is None or len(before) != len(sums) else before + sums
