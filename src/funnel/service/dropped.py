"""Why a stage did not let an item pass that the stage before it had."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from funnel.rules import Ruleset
from funnel.rules.codes import ColumnCodes
from funnel.rules.config import ApartRule, AtMostRule, BudgetRule, CapRule
from funnel.service.explore import RequestTrace, listed
from funnel.types import Int32
from funnel.values.plain import plain
from funnel.values.shown import shown

#: A code and a sentence.
Reason = tuple[str, str]


def dropped(traced: RequestTrace, at: int, row: int) -> Reason:
    """Code and sentence. at: number of the last stage whose list has the item, which the next one's has
    not."""
    name = traced.steps[at + 1].name
    position = int(np.flatnonzero(traced.rows(at) == row)[0]) + 1
    explain: dict[str, Callable[[RequestTrace, int, int, int], Reason]] = {
        "filter": _shortlist, "eligible": _eligible, "rules": _rules, "rerank": _diversity, "top": _below,
    }  # fmt: skip
    if name in explain:
        return explain[name](traced, at, row, position)
    return "dropped", f"dropped by the stage {name}, before which it was {ordinal(position)}"


def ordinal(number: int) -> str:
    """`37th`."""
    last = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number:,}{last}"


def _shortlist(traced: RequestTrace, at: int, row: int, position: int) -> Reason:
    ends = len(traced.rows(at + 1))
    return "shortlist", f"retrieved {ordinal(position)}, and the shortlist ends at {ends:,}"


def _below(traced: RequestTrace, at: int, row: int, position: int) -> Reason:
    ends, ranker = len(traced.rows(-1)), traced.contents.ranker is not None
    verb = "ranked" if ranker else "retrieved"
    return "ranked_below", f"{verb} {ordinal(position)}, and the list ends at {ends:,}"


def _eligible(traced: RequestTrace, at: int, row: int, position: int) -> Reason:
    """Which cap or budget keeps it out."""
    rows, occasion = np.array([row], dtype=np.int32), traced.requests.occasion
    for rule in traced.contents.ruleset.rules:
        if not isinstance(rule, CapRule | BudgetRule):
            continue
        alone = Ruleset((rule,), traced.contents.catalogue)
        if not alone.excluded(occasion, 0, rows)[0]:
            continue
        if isinstance(rule, BudgetRule):
            values = traced.contents.catalogue
            spent, limit = (plain(values.values_of(name, rows)[0]) for name in (rule.spent, rule.limit))
            return "budget", f"budget {rule.label}: {spent} of {limit} is spent, ahead of the day's plan"
        return "cap", _cap(traced, rule, alone, rows)
    return "dropped", "dropped by the stage eligible"


def _cap(traced: RequestTrace, rule: CapRule, alone: Ruleset, rows: Int32) -> str:
    occasion = traced.requests.occasion
    assert occasion is not None
    if not occasion.known[0]:
        return f"cap of {rule.column}: impressions cannot be read, so that nothing it counts is given"
    codes, left = alone.left(rule, occasion, 0)
    used_up = set(codes[left <= 0].tolist())
    values = [
        value
        for value in _values(traced, rule.column, rows)
        if alone.codes(rule.column).code(value) in used_up
    ]
    what = ", ".join(map(shown, values))
    return f"cap of {rule.column}: {what} was shown {rule.shows:,} times within {rule.per}, which is the most"


def _values(traced: RequestTrace, column: str, rows: Int32) -> list[Any]:
    """Of an item, each value of a list by itself."""
    catalogue = traced.contents.catalogue
    if column == "item_id":
        return list(catalogue.ids.take(rows))
    value = catalogue.values_of(column, rows)[0]
    return list(value) if isinstance(value, list | tuple | np.ndarray) else [value]


def _rules(traced: RequestTrace, at: int, row: int, position: int) -> Reason:
    """A rule of which the list has as much as it may have; else it stood too low."""
    rows, final = np.array([row], dtype=np.int32), traced.rows(-1)
    for rule in traced.contents.ruleset.rules:
        if not isinstance(rule, AtMostRule | ApartRule):
            continue
        codes = traced.contents.ruleset.codes(rule.column)
        most = rule.n if isinstance(rule, AtMostRule) else 1
        for group in _groups(rule, codes, _values(traced, rule.column, rows)):
            wanted = [codes.code(value) for value in group]
            have = int(np.isin(codes.of(final), wanted).any(axis=1).sum())
            if have >= most:
                what = " or ".join(map(shown, group))
                return "rule", (
                    f"rule {rule.label}: at most {most:,} of {rule.column} {what}, and the list has "
                    f"{have:,}; it was {ordinal(position)} before"
                )
    return _below(traced, at, row, position)


def _groups(rule: AtMostRule | ApartRule, codes: ColumnCodes, values: list[Any]) -> list[list[Any]]:
    """What counts together for a rule, of what an item has."""
    if isinstance(rule, AtMostRule):
        return [[value] for value in values]
    own = {codes.code(value) for value in values}
    return [list(group) for group in rule.values if own & {codes.code(value) for value in group}]


def _diversity(traced: RequestTrace, at: int, row: int, position: int) -> Reason:
    """It stood high enough, and is much like one that was taken."""
    picked = traced.rows(at + 1)
    pool = max(traced.contents.rerank.pool, traced.k)
    if position > pool:
        return "ranked_below", f"ranked {ordinal(position)}, and re-ranking looks at the first {pool:,}"
    if position > len(picked) and traced.contents.rerank.trade_off == 1:
        return _below(traced, at, row, position)
    vectors = np.asarray(traced.contents.vectors[picked], dtype=np.float64)
    own = np.asarray(traced.contents.vectors[row], dtype=np.float64)
    length = np.maximum(np.linalg.norm(vectors, axis=1) * np.linalg.norm(own), 1e-12)
    cosines = vectors @ own / length
    nearest = int(np.argmax(cosines))
    like = listed(traced.contents, picked[nearest : nearest + 1])[0]["title"]
    return "diversity", (
        f"ranked {ordinal(position)}, and re-ranking for diversity took {len(picked):,} others; of these "
        f"{shown(like)} is most like it, with a cosine of {cosines[nearest]:.2f}"
    )
