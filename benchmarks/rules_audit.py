"""What lists cost their rules, counted anew from plain values, and what no list could cost less than.

Nothing here is funnel's: values are compared as Python's, and a bound looks at one rule alone.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.rules_cases import DAY, NOW, Case, Items

Bool = NDArray[np.bool_]
Int = NDArray[np.int64]


def values_of(items: Items, column: str) -> list[list[Any]]:
    """Each item's values of a column."""
    if column == "item_id":
        return [[row] for row in range(len(items.brand))]
    if column == "brand":
        return [[] if one is None else [one] for one in items.brand]
    return items.tags


def passing(items: Items, where: dict[str, Any]) -> Bool:
    """Which items pass a filter."""
    ((column, wanted),) = where.items()
    if column == "year":
        return np.array(items.year) >= wanted["ge"]
    return np.array([wanted in some for some in values_of(items, column)], dtype=np.bool_)


@dataclass(frozen=True)
class Limit:
    """So many items of each value: member: bool [n, V]; room: [B, V], what a request may have of each."""

    member: Bool
    room: Int


def limit_of(case: Case, rule: dict[str, Any]) -> Limit:
    """Of a rule at_most or cap."""
    each = values_of(case.items, rule["column"])
    names = sorted({value for some in each for value in some}, key=str)
    place = {value: number for number, value in enumerate(names)}
    member = np.zeros((len(each), len(names)), dtype=np.bool_)
    for row, some in enumerate(each):
        member[row, [place[value] for value in some]] = True
    room = np.full((len(case.candidates), len(names)), rule.get("n", rule.get("shows")))
    if rule["kind"] == "cap":
        since = NOW - int(rule["per"][:-1]) * DAY
        for b, shown in enumerate(case.impressions):
            for item, at in shown:
                room[b] -= member[item] * (at > since)
    return Limit(member, np.maximum(room, 0))


def is_strict(rule: dict[str, Any]) -> bool:
    """Whether a list never breaks it."""
    return rule["kind"] == "cap" or bool(rule.get("strict", rule["kind"] == "apart"))


def taken(member: Bool, lists: NDArray[Any]) -> Int:
    """How many of each value the lists [B, k] have: [B, V]."""
    padded = np.vstack([member, np.zeros((1, member.shape[1]), dtype=np.bool_)])
    return padded[lists].sum(axis=1)


def costs(case: Case, rule: dict[str, Any], lists: NDArray[Any]) -> Int:
    """How far each list [B, k] is off a rule: [B]."""
    lengths = (lists >= 0).sum(axis=1)
    match rule["kind"]:
        case "at_most" | "cap":
            limit = limit_of(case, rule)
            return np.maximum(0, taken(limit.member, lists) - limit.room).sum(axis=1)
        case "at_least":
            have = taken(passing(case.items, rule["where"])[:, None], lists)[:, 0]
            return np.maximum(0, min(rule["n"], case.k) - have)
        case "pin":
            if rule["position"] > case.k:
                return np.zeros(len(lists), dtype=np.int64)
            wide = np.pad(lists, ((0, 0), (0, case.k)), constant_values=-1)
            return (wide[:, rule["position"] - 1] != rule["item"]).astype(np.int64)
        case "reserve":
            fits = np.append(passing(case.items, rule["where"]), False)
            at = [p - 1 for p in rule["positions"] if p <= lists.shape[1]]
            return (~fits[lists[:, at]] & (np.array(at, dtype=int) < lengths[:, None])).sum(axis=1)
        case "apart":
            return np.array([apart(case, rule, some[some >= 0]) for some in lists])
    return np.zeros(len(lists), dtype=np.int64)


def apart(case: Case, rule: dict[str, Any], shown: NDArray[Any]) -> int:
    """Values of one group beyond the first, for each group."""
    each = values_of(case.items, rule["column"])
    present = {value for row in shown.tolist() for value in each[row]}
    return sum(max(0, len(present & set(group)) - 1) for group in rule["values"])


def least(case: Case, rule: dict[str, Any], candidates: NDArray[Any], lengths: Int) -> Int:
    """What lists of these lengths cannot cost a rule less than, whatever the others want: [B]."""
    there = candidates >= 0
    match rule["kind"]:
        case "at_most":
            limit = limit_of(case, rule)
            return np.maximum(0, lengths - _most(case, rule, limit, candidates))
        case "at_least":
            able = np.append(passing(case.items, rule["where"]), False)[candidates].sum(axis=1)
            return np.maximum(0, min(rule["n"], case.k) - np.minimum(able, lengths))
        case "pin":
            able = ((candidates == rule["item"]) & there).any(axis=1) & (rule["position"] <= lengths)
            return (~able & (rule["position"] <= case.k)).astype(np.int64)
        case "reserve":
            able = np.append(passing(case.items, rule["where"]), False)[candidates].sum(axis=1)
            wanted = (np.array(rule["positions"])[None, :] <= lengths[:, None]).sum(axis=1)
            return np.maximum(0, wanted - able)
    return np.zeros(len(candidates), dtype=np.int64)


def longest(case: Case, candidates: NDArray[Any]) -> Int:
    """What no list can be longer than, by each strict limit alone: [B]."""
    out = np.minimum((candidates >= 0).sum(axis=1), case.k)
    for rule in case.rules:
        if is_strict(rule) and rule["kind"] in ("at_most", "cap"):
            out = np.minimum(out, _most(case, rule, limit_of(case, rule), candidates))
    return out


def _most(case: Case, rule: dict[str, Any], limit: Limit, candidates: NDArray[Any]) -> Int:
    """At most so many of the candidates fit a limit: exact where an item has one value, else too many."""
    single = (limit.member.sum(axis=1) <= 1).all()
    have = taken(limit.member, candidates)
    n = (candidates >= 0).sum(axis=1)
    if single:
        return n - np.maximum(0, have - limit.room).sum(axis=1)
    return n - (have - limit.room).max(axis=1, initial=0)


def blocked_for_a_reason(case: Case, before: NDArray[Any], bad: Bool) -> Counter[str]:
    """Counts of items kept from requests although nothing says so, and let through although one says so."""
    must, may = np.zeros(before.shape, dtype=np.bool_), np.zeros(before.shape, dtype=np.bool_)
    for rule in case.rules:
        if rule["kind"] == "cap":
            limit = limit_of(case, rule)
            out = (limit.member[before] & (limit.room == 0)[:, None, :]).any(axis=2)
            must |= out
            may |= out
        if rule["kind"] == "budget":
            money = np.array(case.items.limit, dtype=float)
            spent = np.array(case.items.spent)
            must |= (spent >= money)[before]
            may |= (spent > 0.5 * money)[before] | (spent >= money)[before]  # at noon half is planned
    there = before >= 0
    return Counter(
        {
            "blocked without a reason": int((bad & ~may & there).sum()),
            "shown although spent or capped": int((must & ~bad & there).sum()),
        }
    )
