"""The list that rules leave is the one that a slow search through all lists finds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from funnel.catalogue.tables import Catalogue
from funnel.data import Vocabulary
from funnel.rules import Rule, Ruleset, check_rules, check_together
from funnel.types import Occasion, Ragged
from tests.rules import slow

RULES: TypeAdapter[tuple[Rule, ...]] = TypeAdapter(tuple[Rule, ...])
BRANDS, TAGS = ("a", "b", "c", None), ("x", "y", "z")
WEEK = 7 * 86_400


def catalogue(brands: list[str | None], tags: list[list[str]]) -> Catalogue:
    frame = pd.DataFrame({"brand": pd.Series(brands, dtype="str"), "tags": tags})
    return Catalogue(Vocabulary.of(np.arange(len(brands))), frame, {})


def made(rules: list[dict[str, Any]], on: Catalogue) -> Ruleset:
    found = RULES.validate_python(rules)
    check_rules(found, on.layout)
    return Ruleset(found, on)


def things(brands: list[str | None], tags: list[list[str]]) -> list[slow.Thing]:
    return [
        slow.Thing(n, {"brand": frozenset({brand} - {None}), "tags": frozenset(some)})  # type: ignore[arg-type]
        for n, (brand, some) in enumerate(zip(brands, tags, strict=True))
    ]


limits = st.builds(
    lambda column, n, strict: {"kind": "at_most", "column": column, "n": n, "strict": strict},
    st.sampled_from(["brand", "tags"]), st.integers(1, 3), st.booleans(),
)  # fmt: skip
leasts = st.builds(
    lambda tag, n: {"kind": "at_least", "where": {"tags": tag}, "n": n},
    st.sampled_from(TAGS),
    st.integers(1, 4),
)
pins = st.builds(
    lambda item, at: {"kind": "pin", "item": item, "position": at}, st.integers(0, 7), st.integers(1, 5)
)
reserves = st.builds(
    lambda brand, at: {"kind": "reserve", "where": {"brand": brand}, "positions": sorted(at)},
    st.sampled_from("abc"), st.sets(st.integers(1, 5), min_size=1, max_size=2),
)  # fmt: skip
aparts = st.builds(
    lambda column, strict: {
        "kind": "apart", "column": column, "strict": strict,
        "values": [["a", "b"], ["b", "c"]] if column == "brand" else [["x", "y", "z"]],
    },
    st.sampled_from(["brand", "tags"]), st.booleans(),
)  # fmt: skip

caps = st.builds(
    lambda column, shows: {"kind": "cap", "column": column, "shows": shows, "per": "7d"},
    st.sampled_from(["brand", "tags"]), st.integers(1, 3),
)  # fmt: skip


def contradict(rules: list[dict[str, Any]]) -> bool:
    try:
        check_together(RULES.validate_python(rules), 10)
    except ValueError:
        return True
    return False


def named(rules: list[dict[str, Any]], priorities: list[int]) -> list[dict[str, Any]]:
    return [rule | {"name": f"r{n}", "priority": priorities[n]} for n, rule in enumerate(rules)]


def shown_within(known: list[slow.Thing], shown: list[tuple[int, int]], column: str, value: str) -> int:
    return sum(at > -WEEK and value in known[item].values[column] for item, at in shown)


def cost_of(
    rule: dict[str, Any], k: int, known: list[slow.Thing], shown: list[tuple[int, int]]
) -> tuple[bool, slow.Cost]:
    match rule["kind"]:
        case "at_most":
            return rule["strict"], slow.at_most(rule["column"], rule["n"])
        case "at_least":
            return False, slow.at_least("tags", rule["where"]["tags"], rule["n"], k)
        case "pin":
            return False, slow.pin(rule["item"], rule["position"], k, rule["item"] < len(known))
        case "cap":
            column, shows = rule["column"], rule["shows"]
            left = lambda value: max(0, shows - shown_within(known, shown, column, value))  # noqa: E731
            return True, slow.at_most(column, shows, left)
        case "reserve":
            return False, slow.reserve("brand", rule["where"]["brand"], rule["positions"])
        case _:
            return rule["strict"], slow.apart(rule["column"], rule["values"])


@st.composite
def cases(draw: st.DrawFn) -> Any:
    n, k = draw(st.integers(1, 6)), draw(st.integers(1, 4))
    brands = draw(st.lists(st.sampled_from(BRANDS), min_size=n, max_size=n))
    tags = draw(st.lists(st.lists(st.sampled_from(TAGS), max_size=3), min_size=n, max_size=n))
    order = draw(st.permutations(range(n)))
    rules = draw(st.lists(limits | leasts | pins | reserves | aparts | caps, min_size=1, max_size=5))
    rules = named(rules, draw(st.lists(st.integers(0, 1), min_size=5, max_size=5)))
    while contradict(rules):
        rules = rules[:-1]
    times = st.tuples(st.integers(0, n - 1), st.sampled_from([-2 * WEEK, -WEEK, 1 - WEEK, -1, 0]))
    return brands, tags, order, rules, k, draw(st.lists(times, max_size=4))


def occasion(shown: list[tuple[int, int]], now: int = 10 * WEEK) -> Occasion:
    rows, times = [item for item, _ in shown], [now + at for _, at in shown]
    return Occasion(
        np.array([now]),
        np.array([0]),
        Ragged.from_lists([rows]),
        Ragged.from_lists([times], np.int64),
        np.array([True]),
    )


@settings(max_examples=120, deadline=None)
@given(cases())
def test_the_list_is_the_best_of_all_lists(case: Any) -> None:
    brands, tags, order, rules, k, impressions = case
    on = catalogue(brands, tags)
    items = np.array(order, dtype=np.int32)
    places, scores, outcome = made(rules, on).arranged(
        items, -np.arange(len(items), dtype=np.float32), k, occasion(impressions)
    )
    by_priority = sorted(rules, key=lambda rule: -rule["priority"])
    known = things(brands, tags)
    shown, costs = slow.best(
        [known[n] for n in order], k, [cost_of(rule, k, known, impressions) for rule in by_priority]
    )
    assert items[places].tolist() == shown
    assert list(outcome.gave_way) == [
        rule["name"] for rule, cost in zip(by_priority, costs, strict=True) if cost
    ]
    assert outcome.proven
    assert scores.tolist() == (-places.astype(float)).tolist()


def test_the_slow_search_finds_violations() -> None:
    """The control: it tells lists apart by length, by cost in order of priority, and by rank."""
    known = things(["a", "a", "b"], [["x"], ["y"], ["x"]])
    one = slow.at_most("brand", 1)
    assert slow.best(known, 2, [(True, one)]) == ([0, 2], [0])
    assert slow.best(known[:2], 2, [(True, one)]) == ([0], [0])
    assert slow.best(known[:2], 2, [(False, one)]) == ([0, 1], [1])
    y = slow.at_least("tags", "y", 1, 1)
    assert slow.best(known, 1, [(False, y), (False, slow.pin(0, 1, 1, True))]) == ([1], [0, 1])


def test_a_long_list_is_kept_to_as_a_short_one() -> None:
    """A plain walk down the candidates is the best list where limits are all that there is."""
    rng = np.random.default_rng(0)
    brands = [f"b{number}" for number in rng.integers(0, 900, size=4000)]
    on = catalogue(brands, [["x"] if number % 7 else ["y"] for number in range(4000)])
    order = rng.permutation(4000).astype(np.int32)
    seen: dict[str, int] = {}
    wanted = []
    for item in order.tolist():
        seen[brands[item]] = seen.get(brands[item], 0) + 1
        wanted += [item] if seen[brands[item]] <= 3 else []
    rules = made([{"kind": "at_most", "column": "brand", "n": 3}], on)
    places, _, outcome = rules.arranged(order, np.zeros(4000, dtype=np.float32), 2000)
    assert order[places].tolist() == wanted[:2000]
    assert outcome.proven
    assert outcome.gave_way == ()
