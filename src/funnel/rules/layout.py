"""From rules and candidates to the arrays of a `Problem`, and from its solution to what the rules did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from funnel.catalogue.where import Where
from funnel.rules.config import ApartRule, AtLeastRule, AtMostRule, CapRule, PinRule, ReserveRule, Rule
from funnel.rules.fitting import first_fitting
from funnel.rules.improve import improved
from funnel.rules.problem import Problem, alike, led, numbered
from funnel.rules.search import solve
from funnel.types import Bool, Int32, Int64, Occasion, RulesOutcome

if TYPE_CHECKING:
    from funnel.rules.ruleset import Ruleset

#: A limit that no list reaches.
_NONE = np.iinfo(np.int32).max

_NOTHING = np.empty(0, dtype=np.int32)


@dataclass(frozen=True)
class Solved:
    """The best list of some candidates.

    problem: None where no rule is about lists. chosen: int64 [m], its positions among the candidates. proven:
    whether none is known to be better. costs: int32 [R], what it costs each rule. wanted: items.
    """

    problem: Problem | None
    chosen: Int64
    proven: bool
    costs: Int32
    wanted: int


class Layout:
    """Rules about a whole list, by priority. Owners of groups are limits, and behind them teams."""

    def __init__(self, rules: Sequence[Rule], ruleset: Ruleset) -> None:
        self._rules, self._set = rules, ruleset
        self._labels = [rule.label for rule in rules]
        self._limits = [(r, rule) for r, rule in enumerate(rules) if isinstance(rule, AtMostRule | CapRule)]
        self._least = [(r, rule) for r, rule in enumerate(rules) if isinstance(rule, AtLeastRule)]
        self._pins = [(r, rule) for r, rule in enumerate(rules) if isinstance(rule, PinRule)]
        self._reserved = [(r, rule) for r, rule in enumerate(rules) if isinstance(rule, ReserveRule)]
        self._apart = [(r, rule) for r, rule in enumerate(rules) if isinstance(rule, ApartRule)]
        self._strict = np.array([_is_strict(rule) for rule in rules], dtype=np.bool_)
        self._limit_rule = np.array([r for r, _ in self._limits], dtype=np.int32)
        limits = [rule.n if isinstance(rule, AtMostRule) else rule.shows for _, rule in self._limits]
        teams = [(r, rule, group) for r, rule in self._apart for group in rule.values]
        self.n_teams = len(teams)
        self._owner_limit = np.array([*limits, *[_NONE] * len(teams)], dtype=np.int32)
        self._owner_rule = np.array([*self._limit_rule, *[r for r, _, _ in teams]], dtype=np.int32)
        numbers = np.arange(len(limits) + len(teams), dtype=np.int32)
        self._owner_number = np.where(numbers < len(limits), numbers, -1).astype(np.int32)
        self._owner_team = np.where(numbers < len(limits), -1, numbers - len(limits)).astype(np.int32)

    def solve(self, items: Int32, k: int, occasion: Occasion | None, request: int) -> Solved:
        """The best list among the candidates [n], which come best first."""
        wanted, k = k, min(k, len(items))
        if not self._rules:
            return Solved(None, np.arange(k), True, np.zeros(0, dtype=np.int32), wanted)
        problem = self._problem(items, wanted, occasion, request)
        out = np.zeros(k, dtype=np.int32)
        length, proven, costs = solve(problem, self._strict, self.n_teams, k, out)
        if not proven:
            length, proven, costs = improved(problem, self._strict, self.n_teams, k, out, length)
        return Solved(problem, out[:length].astype(np.int64), bool(proven), costs, wanted)

    def solve_list(self, items: Int32, k: int, occasion: Occasion | None, request: int) -> Solved:
        """As `solve`, for what asks for nothing but the list: mostly the first candidates that fit are it."""
        wanted = min(k, len(items))
        if wanted and self._rules and len(self._limits) == len(self._rules):
            chosen = self._first_fitting(items, wanted, occasion, request)
            if len(chosen) == wanted:
                return Solved(None, chosen, True, np.zeros(len(self._rules), dtype=np.int32), k)
        return self.solve(items, k, occasion, request)

    def _first_fitting(self, items: Int32, k: int, occasion: Occasion | None, request: int) -> Int64:
        codes = [self._set.codes(rule.column).of(items) for _, rule in self._limits]
        owners = [number for number, some in enumerate(codes) for _ in range(some.shape[1])]
        together = np.ascontiguousarray(np.concatenate(codes, axis=1))
        used = self._used(occasion, request)
        chosen: Int64 = first_fitting(together, np.array(owners, np.int32), self._owner_limit, used, k)
        return chosen

    def _used(self, occasion: Occasion | None, request: int) -> tuple[Int32, Int32, Int32]:
        """Of caps: the limit, the code and what is left of it to the user."""
        each = [
            (number, *self._set.left(rule, occasion, request))
            for number, (_, rule) in enumerate(self._limits)
            if occasion is not None and isinstance(rule, CapRule)
        ]
        if not any(len(values) for _, values, _ in each):
            return _NOTHING, _NOTHING, _NOTHING
        return (
            np.concatenate([np.full_like(values, number) for number, values, _ in each]),
            np.concatenate([values for _, values, _ in each]),
            np.concatenate([left.astype(np.int32) for _, _, left in each]),
        )

    def outcome(self, items: Int32, solved: Solved, chosen: Int64) -> RulesOutcome:
        """What the rules did to a list that costs them what the best list does. chosen: int64 [m], its
        positions among the candidates."""
        if solved.problem is None:
            return RulesOutcome()
        gave_way = solved.costs > 0
        for (r, rule), at in zip(self._pins, self._pinned_at(items), strict=True):
            gave_way[r] |= rule.position <= solved.wanted and (at < 0 or rule.position > len(chosen))
        labels = [label for label, gave in zip(self._labels, gave_way.tolist(), strict=True) if gave]
        return RulesOutcome(tuple(labels), solved.proven, self._touched(solved.problem, chosen))

    def _problem(self, items: Int32, k: int, occasion: Occasion | None, request: int) -> Problem:
        n = len(items)
        codes, owners = self._columns(items)
        groups = np.empty(codes.shape, dtype=np.int32)
        owner, code = np.empty(codes.size, dtype=np.int32), np.empty(codes.size, dtype=np.int32)
        count = numbered(codes, owners, groups, owner, code)
        owner, code = owner[:count], code[:count]
        capacity, limit = self._owner_limit[owner], self._owner_number[owner]
        if occasion is not None:
            self._cap(capacity, owner, code, occasion, request)
        leads = np.zeros(codes.shape, dtype=np.bool_)
        led(groups, limit, len(self._limits), leads)
        counts = self._filters([rule.where for _, rule in self._least], items)
        fits = self._filters([rule.where for _, rule in self._reserved], items)
        pin, pin_rule, pinned = self._pinned(items, min(k, n))
        reserved, reserved_rule = self._reservations(min(k, n))
        kinds, before = np.empty(n, dtype=np.uint64), np.empty(n, dtype=np.int32)
        alike(groups, counts, fits, pinned, kinds, before)
        return Problem(
            groups, leads, capacity, self._owner_rule[owner], self._owner_team[owner], limit,
            self._limit_rule,
            counts, np.array([min(rule.n, k) for _, rule in self._least], dtype=np.int32),
            np.array([r for r, _ in self._least], dtype=np.int32), pin, pin_rule, pinned, fits, reserved,
            reserved_rule, kinds, before,
        )  # fmt: skip

    def _columns(self, items: Int32) -> tuple[Int32, Int32]:
        """Codes of all columns with a limit and of all teams, and whose they are: int32 [n, W] each."""
        codes = [self._set.codes(rule.column).of(items) for _, rule in self._limits]
        whose: list[Int32] = [
            np.full(some.shape, number, dtype=np.int32) for number, some in enumerate(codes)
        ]
        for column, table in self._teams:
            values = self._set.codes(column).of(items)
            width = values.shape[1] * table.shape[1]  # said, since of no items it cannot be inferred
            teams = table[np.where(values < len(table) - 1, values, -1)].reshape(len(items), width)
            whose.append(teams)
            codes.append(np.where(teams >= 0, np.repeat(values, table.shape[1], axis=1), np.int32(-1)))
        if not codes:
            return np.empty((len(items), 0), dtype=np.int32), np.empty((len(items), 0), dtype=np.int32)
        return (
            np.ascontiguousarray(np.concatenate(codes, axis=1)),
            np.ascontiguousarray(np.concatenate(whose, axis=1)),
        )

    @cached_property
    def _teams(self) -> list[tuple[str, Int32]]:
        """For each rule of competitors its column, and by code the owners that a value belongs to: int32
        [values + 1, most of one value], −1 = none; the last row is that of all other values."""
        teams, owner = [], len(self._limits)
        for _, rule in self._apart:
            codes = self._set.codes(rule.column)
            of: dict[int, list[int]] = {}
            for group in rule.values:
                for value in group:
                    of.setdefault(codes.code(value, keep=True), []).append(owner)
                owner += 1
            of.pop(-1, None)  # an id that no item has
            table = np.full(
                (max(of, default=0) + 2, max(map(len, of.values()), default=1)), -1, dtype=np.int32
            )
            for code, some in of.items():
                table[code, : len(some)] = some
            teams.append((rule.column, table))
        return teams

    def _cap(self, capacity: Int32, owner: Int32, code: Int32, occasion: Occasion, request: int) -> None:
        """What of a cap is left to the user, in place of the whole of it."""
        for number, (_, rule) in enumerate(self._limits):
            if isinstance(rule, CapRule):
                for value, left in zip(*self._set.left(rule, occasion, request), strict=True):
                    capacity[(owner == number) & (code == value)] = max(0, left)

    def _filters(self, wheres: Sequence[Where], items: Int32) -> Bool:
        out = np.empty((len(wheres), len(items)), dtype=np.bool_)
        for number, where in enumerate(wheres):
            out[number] = self._set.passes(where, items)
        return out

    def _pinned_at(self, items: Int32) -> list[int]:
        """The position of each pinned item among the candidates, −1 where it is not there."""
        positions = [
            np.flatnonzero(items == self._set.catalogue.ids.row(rule.item)) for _, rule in self._pins
        ]
        return [int(at[0]) if len(at) else -1 for at in positions]

    def _pinned(self, items: Int32, k: int) -> tuple[Int32, Int32, Int32]:
        pin, pin_rule = np.full(k, -1, dtype=np.int32), np.full(k, -1, dtype=np.int32)
        pinned = np.full(len(items), -1, dtype=np.int32)
        for (r, rule), at in zip(self._pins, self._pinned_at(items), strict=True):
            if at >= 0 and rule.position <= k:
                pin[rule.position - 1], pin_rule[rule.position - 1] = at, r
                pinned[at] = rule.position - 1
        return pin, pin_rule, pinned

    def _reservations(self, k: int) -> tuple[Int32, Int32]:
        row, rule_of = np.full(k, -1, dtype=np.int32), np.full(k, -1, dtype=np.int32)
        for number, (r, rule) in enumerate(self._reserved):
            for position in rule.positions:
                if position <= k:
                    row[position - 1], rule_of[position - 1] = number, r
        return row, rule_of

    def _touched(self, p: Problem, chosen: Int64) -> tuple[tuple[str, ...], ...]:
        """By position, the rules that put an item there: it is pinned, fits a reserved position, or counts
        for a least number and is further down in the candidates' order than the list is long."""
        if not (self._pins or self._reserved or self._least):
            return ()
        out: list[list[str]] = [[] for _ in chosen]
        for position, candidate in enumerate(chosen.tolist()):
            if p.pin[position] == candidate:
                out[position].append(self._labels[p.pin_rule[position]])
            row = p.reserved[position]
            if row >= 0 and p.fits[row, candidate]:
                out[position].append(self._labels[p.reserved_rule[position]])
            if candidate >= len(chosen):
                out[position] += [
                    self._labels[r]
                    for r, counts in zip(p.least_rule, p.counts[:, candidate], strict=True)
                    if counts
                ]
        return tuple(map(tuple, out))


def _is_strict(rule: Rule) -> bool:
    return isinstance(rule, CapRule) or (isinstance(rule, AtMostRule | ApartRule) and rule.strict)
