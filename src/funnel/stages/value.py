"""The stage that orders what was ranked by expected value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from funnel.catalogue.layout import Numbers
from funnel.catalogue.tables import Catalogue
from funnel.compiling import compiled, plain
from funnel.errors import ConfigError
from funnel.ranker.calibration import Head
from funnel.ranker.value_head import ValueHead
from funnel.stages.config import VALUE, RankConfig, variable
from funnel.stages.formula import Float64, Formula
from funnel.types import Bool, Candidates, Features, Float32, Int8, Int32, Int64, Requests
from funnel.values.nearest import hint

#: Values beyond are as much as this: scores have to stay numbers of 32 bits.
_MOST = 1e30


class Valued(NamedTuple):
    """values: of each item, NaN where it is not known. reached: whether it is at or above every floor. parts:
    what the expression read, by name. All of the shape of the items."""

    values: Float64
    reached: Bool
    parts: Mapping[str, Float64]


class ExpectedValue:
    """The expression of a config over probabilities, values of events, item columns and numbers of the
    context.

    context: names of those numbers. worth: what events are worth, by kind. Raises: ConfigError for a name
    that is none of these.
    """

    def __init__(
        self,
        config: RankConfig,
        heads: Mapping[str, Head],
        catalogue: Catalogue,
        context: Sequence[str] = (),
        worth: Mapping[str, ValueHead] | None = None,
    ) -> None:
        assert config.value is not None
        self._formula, self._floor = Formula.parse(config.value), config.floor
        check_names(config, heads, number_columns(catalogue), context, worth or {})
        reads = {*self._formula.names, *config.floor}
        self._heads = {
            variable(name): (name, head) for name, head in heads.items() if variable(name) in reads
        }
        self._worth = {variable(name, VALUE): (name, head) for name, head in (worth or {}).items()}
        self._worth = {name: of for name, of in self._worth.items() if name in reads}
        self._moment = [name for name in context if name in reads]
        columns = reads - {*self._heads, *self._worth, *self._moment}
        self._columns = {name: catalogue.numbers(name) for name in columns}

    def of(self, items: Int32, scores: Float32, numbers: Features, heads: Mapping[str, Float32]) -> Valued:
        """items, scores: [B, K], the ranker's scores. numbers: of the context of each request, [B]; what is
        not there is not known. heads: scores of the heads with trees of their own. A negative item is worth
        NaN."""
        parts = {name: head(heads.get(of, scores)) for name, (of, head) in self._heads.items()}
        parts |= {name: head(heads.get(value_trees(of), scores)) for name, (of, head) in self._worth.items()}
        unknown = np.full(len(items), np.nan)
        for name in self._moment:
            parts[name] = np.broadcast_to(numbers.get(name, unknown)[:, None], items.shape)
        parts |= {name: column.of(items) for name, column in self._columns.items()}
        values = self._formula(parts)
        values = values if values.shape == items.shape else np.broadcast_to(values, items.shape)
        known = np.isfinite(values) & (items >= 0)
        reached = np.ones(items.shape, dtype=np.bool_)
        for name, least in self._floor.items():
            reached &= parts[name] >= least
        within = np.minimum(np.maximum(values, -_MOST), _MOST)
        return Valued(np.where(known, within, np.nan), reached, parts)


def number_columns(catalogue: Catalogue) -> list[str]:
    """Columns that an expression can read."""
    return [name for name, column in catalogue.layout.items() if isinstance(column, Numbers)]


def value_trees(kind: str) -> str:
    """What the trees for the value of a kind of event are called among those of heads."""
    return f"value: {kind}"


def values_read(config: RankConfig) -> list[str]:
    """The names in the expression of a config that may be values of events, as they are written."""
    if config.value is None:
        return []
    names = {*Formula.parse(config.value).names, *config.floor}
    return sorted(name for name in names if name.startswith(VALUE))


def worth_names(config: RankConfig, kinds: Sequence[str]) -> list[str]:
    """Those of some kinds of events whose value the expression of a config reads."""
    reads = values_read(config)
    return [name for name in kinds if variable(name, VALUE) in reads]


def check_names(
    config: RankConfig,
    heads: Sequence[str] | Mapping[str, Any],
    columns: Sequence[str],
    context: Sequence[str] = (),
    worth: Sequence[str] | Mapping[str, Any] = (),
) -> None:
    """Raises: ConfigError for a name that is neither `p_` and a head, nor `v_` and a kind of events that have
    values, nor a column of numbers, of items or of the context, with the nearest; and for one that is two of
    them."""
    if config.value is None:
        return
    values = [variable(kind, VALUE) for kind in worth]
    known = [*map(variable, heads), *values, *columns, *context]
    read = [("value", name) for name in Formula.parse(config.value).names]
    for key, name in [*read, *(("floor", name) for name in config.floor)]:
        if known.count(name) > 1:
            both = (
                "a value of events and a column" if name in values else "a column of items and of the context"
            )
            raise ConfigError(f"rank.{key}: {name!r} is {both}: rename one")
    Formula.parse(config.value).check(known)
    for name in config.floor:
        if name not in known:
            raise ConfigError(f"rank.floor: {name!r} is not known; {hint(name, known)}")


class ByValue:
    """Orders the ranked list by expected value; of equal value in the ranker's order.

    Behind all others come, in this order, items below a floor and items whose value is not known (a column
    without a value, a division by zero, the logarithm of 0 or less): none is dropped. Scores are
    the values; those of what comes behind are below the least of the others, and no value.
    """

    #: Without the ranker's scores there is no probability, and the order stays.
    needs = "rank"

    def __init__(self, expected: ExpectedValue, *, name: str = "value") -> None:
        self.name = name
        self._expected = expected

    def __call__(self, requests: Requests, candidates: Candidates) -> Candidates:
        """The same positions by value."""
        if candidates.items.shape[1] == 0:
            return candidates
        valued = self._expected.of(
            candidates.items, candidates.scores, requests.context_numbers, candidates.head_scores
        )
        tiers, falling = np.empty(valued.values.shape, dtype=np.int8), np.empty(valued.values.shape)
        _tiers(*plain(candidates.items, valued.values, valued.reached), tiers, falling)
        columns, scores = falling.argsort(axis=1, kind="stable"), np.empty(tiers.shape, dtype=np.float32)
        behind = _by_tier(columns, tiers, falling, scores)
        ordered = candidates.reorder(columns, scores)
        return replace(ordered, tiers=tiers) if behind else ordered

    def skip(self, candidates: Candidates) -> Candidates:
        """The order that they came in."""
        return candidates


@compiled
def _tiers(items: Int32, values: Float64, reached: Bool, tiers: Int8, falling: Float64) -> None:
    """By position the tier: 0, 1 below a floor, 2 without a value, 3 empty; and what rises as values fall."""
    for b in range(items.shape[0]):
        for j in range(items.shape[1]):
            known = not np.isnan(values[b, j])
            tiers[b, j] = 3 if items[b, j] < 0 else 2 if not known else 0 if reached[b, j] else 1
            falling[b, j] = -values[b, j] if known else 0.0


@compiled
def _by_tier(columns: Int64, tiers: Int8, falling: Float64, scores: Float32) -> bool:
    """Put columns, which are in the order of values, and tiers in the order of tiers, and say whether any but
    the first has an item.

    scores: of the first tier its values; of later ones below, falling from position to position; −inf at
    empty ones.
    """
    width, behind = columns.shape[1], False
    by_value, own = np.empty(width, dtype=np.int64), np.empty(width, dtype=np.int8)
    for b in range(columns.shape[0]):
        for j in range(width):
            by_value[j], own[j] = columns[b, j], tiers[b, j]
        least, at = 0.0, 0
        for tier in range(4):
            for column in by_value:
                if own[column] != tier:
                    continue
                columns[b, at], tiers[b, at] = column, tier
                if tier == 0:
                    least = -falling[b, column]  # the last one is the least
                    scores[b, at] = least
                elif tier == 3:
                    scores[b, at] = -np.inf
                else:
                    behind = True
                    scores[b, at] = least - max(1.0, abs(least) * 1e-3) * (1 + at / width)
                at += 1
    return behind
