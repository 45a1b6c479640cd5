"""What of a request goes with what of an item, learned from what was shown and clicked before."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from funnel.compiling import compiled
from funnel.errors import BundleError
from funnel.features.arrays import frozen, load_array, save_array, wide
from funnel.features.spec import Spec
from funnel.types import Features, Float32, Int32, Lists, Requests

#: What stands before the name of a column of users, and of one that is known at the moment of a request.
USER, MOMENT = "user.", "context."

#: A history counts as the sum of its items over their number to this power: 0 a sum, 1 a mean.
FADE = 0.75

#: The logarithm of the highest chance that is said, and log odds beyond which nothing changes.
_SURE, _MOST_ODDS = -1e-3, 500.0

_FILE = "click_factors.json"


@dataclass(frozen=True)
class ClickFactors:
    """A factorization machine of clicks (Rendle, Factorization Machines, ICDM 2010), whose pairs are of one
    part of the request and one of the item each.

    log odds of a click where an item is looked at = start + the item's bias + Σ biases of its categories +
    ⟨r, q⟩. q is the sum of the vectors of the item's categories. r is that of the user's categories, of those
    known at the moment, and of the categories of each item of the recent history, over a power of their
    number. So it needs no table of users, what happened a moment ago counts, and a new item has its
    categories.

    start: log odds. items: float32 [n_items], biases, 0 where an item was never shown. values: by value of
    item columns, bias and vector, float32 [codes, 1 + d]. tastes: by value of item columns in the history,
    float32 [codes, d]. moments: by value of what a request has, float32 [codes, d], named with `USER` or
    `MOMENT` in front. What was in no list is 0. further: by kind of event that comes of a shown item, such as
    a purchase, the logarithm of how many a click, float32 [n_items + 1]; the last is of all items, and of new
    ones.
    """

    start: float
    items: Float32
    values: Mapping[str, Float32]
    tastes: Mapping[str, Float32]
    moments: Mapping[str, Float32]
    further: Mapping[str, Float32] = field(default_factory=dict)

    @property
    def width(self) -> int:
        """d, the length of the vectors."""
        return next(iter(self.tastes.values())).shape[1]

    def over(self, columns: Features) -> FactorScores:
        """With the items of a catalogue. columns: encoded item columns [n_items, …], which may be changed in
        place."""

        def tables(of: Mapping[str, Float32]) -> tuple[_Table, ...]:
            return tuple(_Table(frozen(table), _codes(columns[name])) for name, table in of.items())

        moments = {name: frozen(table) for name, table in self.moments.items()}
        return FactorScores(
            self.start, frozen(self.items), self.width, tables(self.values), tables(self.tastes), moments
        )

    def log_odds_of(self, kind: str, items: Int32, log_odds: Float32) -> Float32:
        """Those of a further kind of event, which are the chance of a click times how many come of one, below
        1: float32 [B, K]. log_odds: of a click, NaN at empty positions."""
        rates = self.further[kind]
        rows = np.where((items >= 0) & (items < len(rates) - 1), items, len(rates) - 1)
        clicked = -np.log1p(np.exp(-np.clip(log_odds.astype(np.float64), -_MOST_ODDS, _MOST_ODDS)))
        chance = np.minimum(rates[rows] + clicked, _SURE)
        odds: Float32 = (chance - np.log(-np.expm1(chance))).astype(np.float32)
        return odds

    def save(self, folder: Path) -> None:
        """click_factors.json, and arrays numbered as listed there."""
        tables = {"values": self.values, "tastes": self.tastes, "moments": self.moments}
        about = {"start": self.start, "d": self.width, "further": list(self.further)}
        (folder / _FILE).write_text(json.dumps(about | {part: list(of) for part, of in tables.items()}))
        save_array(folder, "click_factors", self.items)
        for part, of in (*tables.items(), ("further", self.further)):
            for number, table in enumerate(of.values()):
                save_array(folder, f"click_factors.{part}.{number}", table)

    @classmethod
    def load(
        cls, folder: Path, n_items: int, item_specs: Mapping[str, Spec], moment_specs: Mapping[str, Spec]
    ) -> ClickFactors | None:
        """What `save` wrote, mapped; None where there is none. moment_specs: of columns of users and of the
        moment, by their names here. Raises: BundleError where it is damaged."""
        path = folder / _FILE
        if not path.exists():
            return None
        try:
            about = json.loads(path.read_text())
            d = int(about["d"])

            def tables(part: str, specs: Mapping[str, Spec], width: int) -> dict[str, NDArray[Any]]:
                names = enumerate(map(str, about[part]))
                return {
                    name: load_array(folder, f"click_factors.{part}.{at}", "float32", specs[name].size, width)
                    for at, name in names
                }

            return cls(
                float(about["start"]), load_array(folder, "click_factors", "float32", n_items),
                tables("values", item_specs, 1 + d), tables("tastes", item_specs, d),
                tables("moments", moment_specs, d),
                {
                    str(name): load_array(folder, f"click_factors.further.{at}", "float32", n_items + 1)
                    for at, name in enumerate(about["further"])
                },
            )  # fmt: skip
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BundleError(f"{path} cannot be read ({error!r}); build the bundle again") from error


class _Table(NamedTuple):
    """Numbers by code, and the codes of each item: float32 [codes, w], int32 [n_items, width]."""

    numbers: Float32
    codes: Int32


@dataclass(frozen=True)
class FactorScores:
    """`ClickFactors` with the items of a catalogue, laid out once. See `ClickFactors.over`."""

    start: float
    items: Float32
    width: int
    values: tuple[_Table, ...]
    tastes: tuple[_Table, ...]
    moments: Mapping[str, Float32]

    def log_odds(self, requests: Requests, recent: Lists, items: Int32) -> Float32:
        """Of each item [B, K] at its request, and the part of it that is ⟨r, q⟩: float32 [B, K, 2]; NaN at
        empty positions.

        recent: items of each history, newest first, see `funnel.features.recent`.
        """
        wanted, flat = self._of_requests(requests, recent), frozen(items, np.int32)
        offered = np.zeros((items.size, 1 + self.width), dtype=np.float32)
        for table in self.values:
            _add_values(*table, flat.reshape(-1), offered)
        offered = offered.reshape(*items.shape, 1 + self.width)
        return _dots(frozen(offered), frozen(wanted), flat, self.items, self.start)

    def _of_requests(self, requests: Requests, recent: Lists) -> Float32:
        """The vector of each request: float32 [B, d]."""
        out = np.zeros((len(requests), self.width), dtype=np.float32)
        every = frozen(np.arange(len(requests), dtype=np.int32))
        for name, numbers in self.moments.items():
            codes = codes_of(requests, name)
            if codes is not None:
                _add_values(numbers, _codes(codes), every, out)
        rows = frozen(recent.values, np.int32)
        if len(rows):
            events = np.zeros((len(rows), self.width), dtype=np.float32)
            for table in self.tastes:
                _add_values(*table, rows, events)
            _add_recent(frozen(events), frozen(recent.offsets, np.int64), FADE, out)
        return out


def request_specs(users: Mapping[str, Spec], moment: Mapping[str, Spec]) -> dict[str, Spec]:
    """The forms of what a request has, by the names that `moments` has."""
    of_users = {USER + name: spec for name, spec in users.items()}
    return of_users | {MOMENT + name: spec for name, spec in moment.items()}


def codes_of(requests: Requests, name: str) -> NDArray[Any] | None:
    """What requests have of a column by its name in `moments`; None where they say nothing of it."""
    if name.startswith(USER):
        return requests.user_features.get(name.removeprefix(USER))
    return requests.context.get(name.removeprefix(MOMENT))


def _codes(column: Any) -> NDArray[np.int32]:
    """Codes of a column of categories: int32 [n, width]."""
    return frozen(wide(column), np.int32)


@compiled
def _add_values(table: Any, codes: Any, rows: Any, out: Any) -> None:
    """Add, for each of the rows, the mean of the table's rows at its codes to out [N, w]; code 0 is none."""
    for number in range(len(rows)):
        if rows[number] < 0:
            continue
        n = 0
        for position in range(codes.shape[1]):
            n += codes[rows[number], position] > 0
        for position in range(codes.shape[1]):
            code = codes[rows[number], position]
            if code > 0:
                for i in range(out.shape[1]):
                    out[number, i] += table[code, i] / n


@compiled
def _add_recent(events: Any, offsets: Any, fade: float, out: Any) -> None:
    """Add the sum of each request's events, over a power of their number, to out [B, d]."""
    for row in range(len(offsets) - 1):
        n = offsets[row + 1] - offsets[row]
        if n > 0:
            share = np.float32(n**-fade)
            for event in range(offsets[row], offsets[row + 1]):
                for i in range(out.shape[1]):
                    out[row, i] += share * events[event, i]


@compiled
def _dots(offered: Any, wanted: Any, items: Any, biases: Any, start: float) -> Any:
    """float32 [B, K, 2]: log odds, and the product of the vectors alone."""
    out = np.full((items.shape[0], items.shape[1], 2), np.nan, dtype=np.float32)
    for row in range(items.shape[0]):
        for position in range(items.shape[1]):
            item = items[row, position]
            if item >= 0:
                product = np.float32(0.0)
                for i in range(wanted.shape[1]):
                    product += wanted[row, i] * offered[row, position, 1 + i]
                own = biases[item] if item < len(biases) else np.float32(0.0)
                out[row, position, 0] = start + own + offered[row, position, 0] + product
                out[row, position, 1] = product
    return out
