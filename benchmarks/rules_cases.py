"""Random catalogues, rules and requests for benchmarks/rules.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import TypeAdapter

from funnel.catalogue.tables import Catalogue
from funnel.data import Vocabulary
from funnel.rules import Rule, Ruleset, check_rules, check_together
from funnel.types import Occasion, Ragged

RULES: TypeAdapter[tuple[Rule, ...]] = TypeAdapter(tuple[Rule, ...])
KINDS = ("at_most", "at_least", "pin", "reserve", "boost", "apart", "cap", "budget")
#: How often there are one, two … six rules: most sets are of a few, as in use.
NUMBERS = (0.25, 0.3, 0.2, 0.15, 0.06, 0.04)
NOW, DAY = 20_000 * 86_400 + 43_200, 86_400


@dataclass(frozen=True)
class Items:
    """Columns of n items, as plain values: brand (one or none), tags (a list), year, and money."""

    brand: list[str | None]
    tags: list[list[str]]
    year: list[float]
    limit: list[float | None]
    spent: list[float]

    def frame(self) -> pd.DataFrame:
        """As a table of a catalogue."""
        return pd.DataFrame(
            {
                "brand": pd.Series(self.brand, dtype="str"),
                "tags": self.tags,
                "year": self.year,
                "limit": np.array(self.limit, dtype=float),
                "spent": self.spent,
            }
        )


@dataclass(frozen=True)
class Case:
    """One rule set and the requests that it is put to.

    rules: as declared. candidates: int32 [B, M], best first, −1 behind the last; scores: float32 [B, M].
    impressions: of each request's user, item rows and times.
    """

    items: Items
    rules: list[dict[str, Any]]
    k: int
    candidates: NDArray[np.int32]
    scores: NDArray[np.float32]
    impressions: list[list[tuple[int, int]]] = field(repr=False)

    @property
    def by_priority(self) -> list[dict[str, Any]]:
        """The rules, the last to give way first."""
        return sorted(self.rules, key=lambda rule: -int(rule["priority"]))

    def ruleset(self) -> Ruleset:
        """The rules on a catalogue of the items."""
        catalogue = Catalogue(Vocabulary.of(np.arange(len(self.items.brand))), self.items.frame(), {})
        rules = RULES.validate_python(self.rules)
        check_rules(rules, catalogue.layout)
        return Ruleset(rules, catalogue)

    def occasion(self, keys: NDArray[np.int64]) -> Occasion:
        """When the requests are made, and what their users were shown."""
        n = len(self.candidates)
        return Occasion(
            np.full(n, NOW), keys,
            Ragged.from_lists([[item for item, _ in some] for some in self.impressions]),
            Ragged.from_lists([[at for _, at in some] for some in self.impressions], np.int64),
            np.ones(n, dtype=np.bool_),
        )  # fmt: skip


def drawn(seed: int, number: int, requests: int, *, small: bool = False) -> Case:
    """Case `number` of a seed. small: so few items that all lists can be looked through."""
    rng = np.random.default_rng((seed, number, int(small)))
    n = int(rng.integers(1, 7)) if small else int(rng.integers(20, 400))
    k = int(rng.integers(1, 5)) if small else int(rng.choice([5, 10, 10, 10, 20]))
    items = _items(rng, n, small)
    rules = _rules(rng, items, k, small)
    candidates, scores = _requests(rng, items, requests, n if small else int(rng.integers(10, 120)))
    shown = [
        [(int(rng.integers(n)), NOW - int(rng.integers(3 * DAY))) for _ in range(rng.integers(0, 9))]
        for _ in range(requests)
    ]
    return Case(items, rules, k, candidates, scores, shown)


def _items(rng: np.random.Generator, n: int, small: bool) -> Items:
    brands, tags = (3, 3) if small else (int(rng.integers(2, 40)), int(rng.integers(2, 12)))
    weight = rng.dirichlet(np.full(brands, 0.5))  # few brands have most items, as advertisers do
    brand = rng.choice(brands, size=n, p=weight)
    spent = np.round(rng.random(n) * 12, 2)
    return Items(
        [None if rng.random() < 0.1 else f"b{one}" for one in brand],
        [[f"t{tag}" for tag in rng.permutation(tags)[: rng.integers(0, 4)]] for _ in range(n)],
        rng.integers(1990, 2027, size=n).astype(float).tolist(),
        [None if rng.random() < 0.2 else float(rng.choice([0, 5, 10])) for _ in range(n)],
        spent.tolist(),
    )


def _requests(
    rng: np.random.Generator, items: Items, requests: int, most: int
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Users like a brand, so that candidates are alike and rules have something to do."""
    n = len(items.brand)
    liked = rng.integers(n, size=requests)
    of_brand = np.array(items.brand, dtype=object)
    score = rng.gumbel(size=(requests, n)) + 2.0 * (of_brand[None, :] == of_brand[liked][:, None])
    order = np.argsort(-score, axis=1)[:, : min(most, n)].astype(np.int32)
    lengths = rng.integers(1, order.shape[1] + 1, size=requests)
    lengths = np.where(rng.random(requests) < 0.7, order.shape[1], lengths)
    there = np.arange(order.shape[1]) < lengths[:, None]
    scores = np.where(there, np.take_along_axis(score, order, axis=1), -np.inf)
    return np.where(there, order, -1).astype(np.int32), scores.astype(np.float32)


def _rules(rng: np.random.Generator, items: Items, k: int, small: bool) -> list[dict[str, Any]]:
    """One to six rules that may stand together."""
    rules: list[dict[str, Any]] = []
    for number in range(int(rng.choice(6, p=NUMBERS)) + 1):
        kind = str(rng.choice(KINDS))
        rule = _rule(rng, kind, items, k, small) | {
            "kind": kind, "name": f"r{number}", "priority": int(rng.integers(0, 3)),
        }  # fmt: skip
        if _stand_together([*rules, rule], k):
            rules.append(rule)
    return rules


def _stand_together(rules: list[dict[str, Any]], k: int) -> bool:
    try:
        check_together(RULES.validate_python(rules), k)
    except ValueError:
        return False
    return True


def _rule(rng: np.random.Generator, kind: str, items: Items, k: int, small: bool) -> dict[str, Any]:
    column = str(rng.choice(["brand", "tags"]))
    match kind:
        case "at_most":
            return {"column": column, "n": int(rng.integers(1, 4)), "strict": bool(rng.random() < 0.3)}
        case "at_least":
            return {"where": _where(rng, items), "n": int(rng.integers(1, min(k, 5) + 1))}
        case "pin":
            return {"item": int(rng.integers(len(items.brand))), "position": int(rng.integers(1, k + 2))}
        case "reserve":
            some = 1 + rng.permutation(k + 1)[: rng.integers(1, 4)]
            return {"where": _where(rng, items), "positions": sorted(some.tolist())}
        case "boost":
            return {"where": _where(rng, items)} | [
                {"multiply": 2.0}, {"add": -1.5}, {"to": "front"}, {"to": "back"},
            ][rng.integers(4)]  # fmt: skip
        case "apart":
            return {
                "column": column,
                "values": _groups(rng, items, column),
                "strict": bool(rng.random() < 0.6),
            }
        case "cap":
            of = str(rng.choice(["brand", "tags", "item_id"]))
            return {"column": of, "shows": int(rng.integers(1, 4)), "per": str(rng.choice(["1d", "2d"]))}
        case _:
            return {"limit": "limit", "spent": "spent", "by": str(rng.choice(["item_id", "brand"]))}


def _where(rng: np.random.Generator, items: Items) -> dict[str, Any]:
    match rng.integers(3):
        case 0:
            return {"year": {"ge": float(rng.integers(1995, 2026))}}
        case 1:
            return {"brand": str(rng.choice(_values(items, "brand")))}
        case _:
            return {"tags": str(rng.choice(_values(items, "tags")))}


def _values(items: Items, column: str) -> list[str]:
    """The values that there are, and one that no item has."""
    if column == "brand":
        return [*sorted({one for one in items.brand if one is not None}), "none"]
    return [*sorted({one for some in items.tags for one in some}), "none"]


def _groups(rng: np.random.Generator, items: Items, column: str) -> list[list[str]]:
    values = [*_values(items, column), "nobody"]
    return [
        [values[at] for at in rng.permutation(len(values))[: rng.integers(2, 4)]]
        for _ in range(rng.integers(1, 3))
    ]
