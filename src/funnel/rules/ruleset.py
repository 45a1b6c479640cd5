"""Rules on a catalogue: what is out of the question for a request, and the list that keeps to the rest
best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from funnel.allow import has_bits
from funnel.catalogue.tables import Catalogue
from funnel.catalogue.where import Bitmap, Where
from funnel.compiling import plain
from funnel.rules.codes import ColumnCodes, mark_any
from funnel.rules.config import (
    AtLeastRule,
    BoostRule,
    BudgetRule,
    CapRule,
    PinRule,
    ReserveRule,
    Rule,
    ordered,
)
from funnel.rules.layout import Layout, Solved
from funnel.rules.pacing import leave_out
from funnel.types import Bool, Float32, Int8, Int32, Int64, Occasion, RulesOutcome
from funnel.values.times import AHEAD

#: Within a tier of boosts are those of values and floors.
_TIERS = 8

_NO_VALUES = np.empty(0, dtype=np.int32), np.empty(0, dtype=np.int64)


@dataclass(frozen=True)
class Quota:
    """So many items that pass a filter are wanted."""

    where: Where
    n: int


@dataclass(frozen=True)
class Boosted:
    """Candidates after boosts. order: int64 [n]. scores: float32 [n] and tiers: int32 [n], of which a lower
    one is before all of a higher one, as the candidates came. by: which were boosted by each rule."""

    order: Int64
    scores: Float32
    tiers: Int32
    by: list[tuple[str, Bool]]


class Ruleset:
    """Rules, by priority, on a catalogue. Thread-safe.

    `excluded` says which items a request cannot be given; `arranged` makes its list of the others.
    """

    def __init__(self, rules: Sequence[Rule], catalogue: Catalogue) -> None:
        self.rules = ordered(rules)
        self.catalogue = catalogue
        coded = dict.fromkeys(name for rule in self.rules for name in rule.coded)
        money = dict.fromkeys(name for rule in self.rules for name in rule.money)
        self._codes = {name: ColumnCodes(catalogue, name) for name in coded}
        self._numbers = {name: catalogue.numbers(name) for name in money}
        self._bits: dict[int, tuple[int, Bitmap]] = {}
        self._caps = [rule for rule in self.rules if isinstance(rule, CapRule)]
        self._budgets = [rule for rule in self.rules if isinstance(rule, BudgetRule)]
        self._boosts = [(rule.label, rule) for rule in self.rules if isinstance(rule, BoostRule)]
        self.layout = Layout(
            [rule for rule in self.rules if not isinstance(rule, BoostRule | BudgetRule)], self
        )
        self.pins = [rule for rule in self.rules if isinstance(rule, PinRule)]

    @property
    def window(self) -> int:
        """Seconds that impressions count for; 0 where nothing asks for them."""
        return max((rule.seconds for rule in self._caps), default=0)

    @property
    def is_live(self) -> bool:
        """Whether an answer depends on the clock or on impressions."""
        return bool(self._caps or self._budgets)

    @cached_property
    def quotas(self) -> list[Quota]:
        """What lists must have of some kind, so that candidates of it can be looked for."""
        wanted = [Quota(rule.where, rule.n) for rule in self.rules if isinstance(rule, AtLeastRule)]
        return wanted + [
            Quota(rule.where, len(rule.positions)) for rule in self.rules if isinstance(rule, ReserveRule)
        ]

    def codes(self, name: str) -> ColumnCodes:
        """A column's values as numbers."""
        return self._codes[name]

    def figures(self) -> tuple[int, int]:
        """How many values beside the bundle's the rules know of, and how many they may."""
        each = [codes.figures() for codes in self._codes.values()]
        return sum(size for size, _ in each), sum(bound for _, bound in each)

    def passes(self, where: Where, rows: Int32) -> Bool:
        """Whether some items pass a filter of a rule: bool, shape of rows."""
        changes, kept = self.catalogue.changes, self._bits.get(id(where))
        if kept is None or kept[0] != changes:
            kept = self._bits[id(where)] = changes, self.catalogue.compile(where)
        return has_bits(kept[1], rows)

    def excluded(self, occasion: Occasion | None, request: int, rows: Int32) -> Bool:
        """Items that caps and budgets keep from a request: bool, shape of rows [n]."""
        out = np.zeros(len(rows), dtype=np.bool_)
        if occasion is None or not len(rows):
            return out
        for rule in self._caps:
            codes = self.codes(rule.column).of(rows)
            if not occasion.known[request]:
                out |= (codes >= 0).any(axis=1)
                continue
            shown, left = self.left(rule, occasion, request)
            if len(shown):
                mark_any(*plain(codes), shown[left <= 0], out)
        for budget in self._budgets:
            limits, spent = (self._numbers[name].of(rows) for name in (budget.limit, budget.spent))
            now, key = int(occasion.now[request]), int(occasion.keys[request])
            leave_out(budget, now, key, self.codes(budget.by).of(rows), limits, spent, out)
        return out

    def left(self, rule: CapRule, occasion: Occasion, request: int) -> tuple[Int32, Int64]:
        """Values that the user was shown within the rule's time, and how often each may be shown still.

        What comes later than the request, by more than clocks differ, does not count: a request may be about
        an earlier moment, and a clock that was ahead once would cap a user for as long as it was.
        """
        now, times = int(occasion.now[request]), occasion.impression_times[request]
        if not len(times):
            return _NO_VALUES
        recent = (times > now - rule.seconds) & (times <= now + AHEAD)
        codes = self.codes(rule.column).of(occasion.impressions[request][recent])
        values, often = np.unique(codes[codes >= 0], return_counts=True)
        return values.astype(np.int32), rule.shows - often.astype(np.int64)

    def arranged(
        self,
        items: Int32,
        scores: Float32,
        k: int,
        occasion: Occasion | None = None,
        request: int = 0,
        tiers: Int8 | None = None,
    ) -> tuple[Int64, Float32, RulesOutcome]:
        """The list of at most k items: their positions among the candidates int64 [m], their scores, and what
        the rules did.

        items: int32 [n], candidates that are not excluded, best first; scores: float32 [n]. tiers: see
        `Candidates.tiers`, int8 [n].
        """
        boosted = self.boosted(items, scores, tiers)
        solved = self.layout.solve_list(items[boosted.order], k, occasion, request)
        positions = boosted.order[solved.chosen]
        return positions, boosted.scores[positions], self.outcome(items, boosted, solved, solved.chosen)

    def outcome(self, items: Int32, boosted: Boosted, solved: Solved, chosen: Int64) -> RulesOutcome:
        """What the rules did to a list. chosen: int64 [m], its positions in the order after boosts."""
        outcome = self.layout.outcome(items[boosted.order], solved, chosen)
        if not boosted.by:
            return outcome
        touched = outcome.touched
        all_touched = tuple(
            (*(touched[at] if touched else ()), *(label for label, mask in boosted.by if mask[position]))
            for at, position in enumerate(boosted.order[chosen].tolist())
        )
        return replace(outcome, touched=all_touched)

    def boosted(self, items: Int32, scores: Float32, tiers: Int8 | None = None) -> Boosted:
        """The candidates after boosts. tiers: int8 [n], of values and floors; None where all are of one.

        A score that is boosted stays in its tier, for the scores of later ones are no values. What a boost
        puts in front or at the back is a tier of its own, within which are those of values and floors.
        """
        own = np.zeros(len(items), dtype=np.int32) if tiers is None else tiers.astype(np.int32)
        if not self._boosts:
            order = np.arange(len(items)) if tiers is None else own.argsort(kind="stable")
            return Boosted(order, scores, own, [])
        put, new = np.zeros(len(items), dtype=np.int32), scores.astype(np.float64)
        boosted = [(label, self.passes(rule.where, items)) for label, rule in self._boosts]
        for (_, rule), (_, at) in zip(reversed(self._boosts), reversed(boosted), strict=True):
            if rule.to is not None:  # the first by priority has the last word
                put[at] = -1 if rule.to == "front" else 1
            elif rule.add is not None:
                new[at] += rule.add
            elif rule.multiply is not None:
                new[at] = np.where(new[at] < 0, new[at] / rule.multiply, new[at] * rule.multiply)
        # As they came where nothing tells two apart.
        own += put * _TIERS
        order = np.lexsort((np.arange(len(items)), -new, own))
        return Boosted(order, new.astype(np.float32), own, boosted)
