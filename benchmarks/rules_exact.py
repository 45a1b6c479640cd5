"""The least that a list can cost its rules, by slow ways that share nothing with funnel's search.

`program` solves integer programs with HiGHS: the length first, then one rule after another, each with those
before it held at their least. `every_list` looks through all lists there are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations, permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp

from benchmarks.rules_audit import Int, costs, is_strict, limit_of, passing, values_of
from benchmarks.rules_cases import Case


@dataclass
class Program:
    """Rows of an integer program: low ≤ row · x ≤ high, by variable number."""

    n: int = 0
    uppers: list[float] = field(default_factory=list)
    rows: list[tuple[dict[int, float], float, float]] = field(default_factory=list)

    def variable(self, upper: float = np.inf) -> int:
        """A whole number of 0…upper."""
        self.uppers.append(upper)
        self.n += 1
        return self.n - 1

    def row(self, terms: dict[int, float], low: float, high: float) -> None:
        """One more constraint."""
        self.rows.append((terms, low, high))

    def least(self, terms: dict[int, float]) -> int | None:
        """The least value of a sum of variables; None where nothing keeps to all rows."""
        objective = np.zeros(self.n)
        for at, weight in terms.items():
            objective[at] += weight
        matrix = np.zeros((len(self.rows), self.n))
        for number, (row, _, _) in enumerate(self.rows):
            for at, weight in row.items():
                matrix[number, at] += weight
        low, high = ([row[side] for row in self.rows] for side in (1, 2))
        found = milp(
            objective,
            integrality=np.ones(self.n),
            bounds=Bounds(0, np.array(self.uppers)),
            constraints=LinearConstraint(matrix, low, high),
        )
        return round(found.fun) if found.success else None


def program(case: Case, b: int) -> tuple[int, list[int]]:
    """The length of the best list of request b, and what it costs each rule by priority."""
    items = case.candidates[b][case.candidates[b] >= 0]
    for length in range(min(case.k, len(items)), 0, -1):
        model, sums = _model(case, b, items, length)
        if model.least({}) is None:
            continue
        found = []
        for terms, constant in sums:
            value = model.least(terms) if terms else 0
            assert value is not None
            model.row(terms, -np.inf, value)
            found.append(value + constant)
        return length, found
    return 0, costs_of(case, [], b)


def costs_of(case: Case, shown: list[int], b: int) -> list[int]:
    """What one list costs each rule, by priority."""
    one = _alone(case, b)
    lists = np.full((1, max(case.k, 1)), -1, dtype=np.int32)
    lists[0, : len(shown)] = shown
    return [int(costs(one, rule, lists)[0]) for rule in case.by_priority]


def every_list(case: Case, b: int, order: NDArray[Any]) -> tuple[list[int], list[int]]:
    """The best list of request b and its costs, of all lists. order: the candidates, best first."""
    found: tuple[list[int], list[int]] | None = None
    strict = [is_strict(rule) for rule in case.by_priority]
    for length in range(min(case.k, len(order)), -1, -1):
        every = [list(some) for of in combinations(range(len(order)), length) for some in permutations(of)]
        lists = np.full((len(every), case.k), -1, dtype=np.int32)
        for number, some in enumerate(every):
            lists[number, :length] = order[some]
        repeated = _alone(case, b, len(every))
        table = np.stack([costs(repeated, rule, lists) for rule in case.by_priority], axis=1)
        for some, row in zip(every, table.tolist(), strict=True):
            if not any(cost for cost, hard in zip(row, strict, strict=True) if hard):
                found = min(found, (row, some)) if found is not None else (row, some)
        if found is not None:
            return [int(order[at]) for at in found[1]], found[0]
    raise AssertionError("the empty list keeps to every strict rule")


def boosted(case: Case, b: int) -> NDArray[Any]:
    """The candidates of request b in the order after boosts: the first rule by priority has the last word."""
    items = case.candidates[b][case.candidates[b] >= 0]
    scores = [float(one) for one in case.scores[b][: len(items)]]
    tiers = [0] * len(items)
    for rule in reversed([one for one in case.by_priority if one["kind"] == "boost"]):
        passes = passing(case.items, rule["where"])[items]
        for at in np.flatnonzero(passes):
            if "to" in rule:
                tiers[at] = {"front": 1, "back": -1}[rule["to"]]
            elif "add" in rule:
                scores[at] += rule["add"]
            else:
                scores[at] *= rule["multiply"] if scores[at] >= 0 else 1 / rule["multiply"]
    return items[sorted(range(len(items)), key=lambda at: (-tiers[at], -scores[at], at))]


def _alone(case: Case, b: int, times: int = 1) -> Case:
    """A case of the one request, repeated."""
    return Case(
        case.items, case.rules, case.k, case.candidates[[b] * times], case.scores[[b] * times],
        [case.impressions[b]] * times,
    )  # fmt: skip


def _model(
    case: Case, b: int, items: NDArray[Any], length: int
) -> tuple[Program, list[tuple[dict[int, float], int]]]:
    """Lists of one length, strict rules kept; and by priority the variables whose sum a rule costs, and what
    it costs besides.

    x[c, s]: how many candidates of class c are at slot s. A class is of candidates that are the same to all
    rules; a slot is one position that a rule names, or all the others.
    """
    model = Program()
    named = sorted({at for rule in case.rules for at in _positions(rule) if at <= length})
    room = [1] * len(named) + [length - len(named)]
    classes = _classes(case, items)
    x = [[model.variable(len(some)) for _ in room] for some in classes]
    for s, size in enumerate(room):
        model.row({column[s]: 1.0 for column in x}, size, size)
    for column, some in zip(x, classes, strict=True):
        model.row(dict.fromkeys(column, 1.0), 0, len(some))
    sums = []
    for rule in case.by_priority:
        sums.append(_cost(model, _alone(case, b), rule, classes, x, named, length))
    return model, sums


def _positions(rule: dict[str, Any]) -> list[int]:
    return rule.get("positions", [rule["position"]] if "position" in rule else [])


def _classes(case: Case, items: NDArray[Any]) -> list[list[int]]:
    """Candidates that are the same to all rules, together."""
    each = {column: values_of(case.items, column) for column in ("brand", "tags", "item_id")}
    columns = {rule["column"] for rule in case.rules if "column" in rule}
    fits = [passing(case.items, rule["where"]) for rule in case.rules if "where" in rule]
    pins = {rule["item"] for rule in case.rules if rule["kind"] == "pin"}
    found: dict[Any, list[int]] = {}
    for row in items.tolist():
        key = tuple(tuple(sorted(each[column][row])) for column in sorted(columns))
        found.setdefault((key, tuple(bool(fit[row]) for fit in fits), row if row in pins else -1), []).append(
            row
        )
    return list(found.values())


def _cost(
    model: Program, one: Case, rule: dict[str, Any], classes: list[list[int]], x: list[list[int]],
    named: list[int], length: int,
) -> tuple[dict[int, float], int]:  # fmt: skip
    """The variables whose sum a rule costs, and a constant; rows are added to the program."""
    first = [some[0] for some in classes]
    match rule["kind"]:
        case "at_most" | "cap":
            return _over(model, rule, limit_of(one, rule).member[first], limit_of(one, rule).room[0], x), 0
        case "apart":
            return _together(model, one, rule, first, x, length), 0
        case "at_least":
            fits = passing(one.items, rule["where"])[first]
            missing = model.variable()
            terms = {at: 1.0 for column, fit in zip(x, fits, strict=True) if fit for at in column}
            model.row({**terms, missing: 1.0}, min(rule["n"], one.k), np.inf)
            return {missing: 1.0}, 0
        case "pin":
            if rule["position"] > one.k:
                return {}, 0
            if rule["position"] > length or rule["item"] not in first:
                return {}, 1
            missing = model.variable(1)
            at = x[first.index(rule["item"])][named.index(rule["position"])]
            model.row({at: 1.0, missing: 1.0}, 1, 1)
            return {missing: 1.0}, 0
        case "reserve":
            fits = passing(one.items, rule["where"])[first]
            slots = [named.index(p) for p in rule["positions"] if p <= length]
            return {column[s]: 1.0 for column, fit in zip(x, fits, strict=True) if not fit for s in slots}, 0
    return {}, 0


def _over(
    model: Program, rule: dict[str, Any], member: NDArray[np.bool_], room: Int, x: list[list[int]]
) -> dict[int, float]:
    over: dict[int, float] = {}
    for value in np.flatnonzero(member.any(axis=0)):
        terms = {at: 1.0 for column, has in zip(x, member[:, value], strict=True) if has for at in column}
        if not is_strict(rule):
            beyond = model.variable()
            over[beyond] = 1.0
            terms[beyond] = -1.0
        model.row(terms, -np.inf, float(room[value]))
    return over


def _together(
    model: Program, one: Case, rule: dict[str, Any], first: list[int], x: list[list[int]], length: int
) -> dict[int, float]:
    each, total = values_of(one.items, rule["column"]), {}
    for group in rule["values"]:
        present = []
        for value in dict.fromkeys(group):
            having = [column for column, row in zip(x, first, strict=True) if value in each[row]]
            if having:
                present.append(model.variable(1))
                terms = {at: 1.0 for column in having for at in column}
                model.row({**terms, present[-1]: -float(length)}, -np.inf, 0)
        beyond = model.variable()
        model.row({**dict.fromkeys(present, 1.0), beyond: -1.0}, -np.inf, 1)
        if is_strict(rule):
            model.row({beyond: 1.0}, 0, 0)
        else:
            total[beyond] = 1.0
    return total
