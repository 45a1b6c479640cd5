"""Lists as often as their logged chances say: a chi-squared test over a million drawn lists, rules and
diversity on.

    python -m benchmarks.evidence propensities

100 random worlds of few items, so that every list that can be shown is; each with one to six random rules,
and diversity by "mmr", by "dpp" or none. 10,000 requests a world get a list each by the stage that serves.
The chance of a list is the product of what was logged for its positions; how often it came is held against
it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from scipy.stats import chi2

from benchmarks.rules_cases import Case, drawn
from benchmarks.serving import save
from funnel.policies import Draw, Drawing
from funnel.rules import Ruleset
from funnel.stages import Diversify, RerankConfig, Rules
from funnel.types import Candidates, Ragged, Requests

WORLDS, ANSWERS = 100, 10_000

#: Lists that are to come less often than this are counted together.
LEAST = 5.0

#: Worlds in which rules leave fewer lists say little.
SEVERAL = 4


@dataclass(frozen=True)
class Counted:
    """How often each list came, and how often it was to: [lists]. rules: kinds of the world's rules."""

    came: NDArray[np.float64]
    expected: NDArray[np.float64]
    kinds: list[str]
    diversity: str

    def statistic(self, expected: NDArray[np.float64]) -> tuple[float, int]:
        """Chi-squared and its degrees of freedom; rare lists are one, with those that never came."""
        often = expected >= LEAST
        left = self.came.sum() - expected[often].sum()
        came, to_come = self.came[often], expected[often]
        if left >= LEAST:
            came = np.append(came, self.came[~often].sum())
            to_come = np.append(to_come, left)
        return float(((came - to_come) ** 2 / to_come).sum()), len(came) - 1


def main(quick: bool, results: Path) -> None:
    """Measure, print, and write the JSON unless quick."""
    worlds, answers = (12, 2_000) if quick else (WORLDS, ANSWERS)
    counted = list(_worlds(worlds, answers))
    about = {"worlds": worlds, "answers": worlds * answers, "lists": sum(len(one.came) for one in counted)}
    about |= {"rules": _often([kind for one in counted for kind in one.kinds])}
    about |= {"diversity": _often([one.diversity for one in counted])}
    about |= {"logged": _tested([one.statistic(one.expected) for one in counted])}
    about |= {"control_5_percent_off": _tested([one.statistic(_off(one.expected)) for one in counted])}
    about |= {"holds": about["logged"]["p"] > 0.001 and about["control_5_percent_off"]["p"] < 1e-6}
    Console().print_json(data=about)
    if not quick:
        save("evidence-propensities", about, results)


def _worlds(worlds: int, answers: int) -> Iterator[Counted]:
    """As many worlds in which several lists can be."""
    number = done = 0
    while done < worlds:
        if len(_world(number, 200).came) >= SEVERAL:
            done += 1
            yield _world(number, answers)
        number += 1


def _world(number: int, answers: int) -> Counted:
    case, rng = drawn(17, number, 1, small=True), np.random.default_rng((17, number))
    ruleset = case.ruleset()
    rerank = [RerankConfig(), RerankConfig(trade_off=0.6), RerankConfig(trade_off=0.6, kind="dpp")][
        number % 3
    ]
    drawing = Drawing(
        temperature=float(rng.uniform(0.1, 0.8)),
        epsilon=float(rng.choice([0, 0.05, 0.2])),
        top=int(rng.integers(2, 7)),
    )
    vectors = rng.normal(size=(len(case.items.brand), 4)).astype(np.float32)
    greedy = [
        Diversify(vectors, rerank.trade_off, pool=50, k=len(vectors), kind=rerank.kind),
        Rules(ruleset, case.k),
    ]
    stage = Draw(vectors, rerank, drawing, case.k, greedy=greedy, ruleset=ruleset)
    requests, candidates = _asked(case, ruleset, rng, answers)
    shown = stage(requests, candidates)
    assert shown.propensities is not None
    _, first, came = np.unique(shown.items, axis=0, return_index=True, return_counts=True)
    expected = answers * shown.propensities[first].prod(axis=1)
    kinds = [str(rule["kind"]) for rule in case.rules]
    return Counted(came.astype(float), expected, kinds, "none" if rerank.trade_off == 1 else rerank.kind)


def _asked(
    case: Case, ruleset: Ruleset, rng: np.random.Generator, answers: int
) -> tuple[Requests, Candidates]:
    """One request so often, with seeds of its own, and its candidates without those that are out of the
    question."""
    occasion = case.occasion(np.array([17]))
    items = case.candidates[0][case.candidates[0] >= 0]
    kept = ~ruleset.excluded(occasion, 0, items)
    rows, scores = items[kept], case.scores[0][: len(items)][kept]
    ranks = np.zeros((answers, len(rows), 1), dtype=np.int32)
    candidates = Candidates(
        np.tile(rows, (answers, 1)),
        np.tile(scores, (answers, 1)),
        ("towers",),
        ranks.astype(np.float32),
        ranks,
    )
    nothing = Ragged.from_lists([[]] * answers)
    every = np.zeros(answers, dtype=np.int64)
    requests = Requests(every.astype(np.int32), every, nothing, nothing, occasion=occasion.take(every))
    return replace(requests, seeds=rng.integers(2**52, size=answers)), candidates


def _off(expected: NDArray[np.float64]) -> NDArray[np.float64]:
    """Every other list a twentieth rarer, the rest as much more often."""
    odd = np.arange(len(expected)) % 2 == 0
    less = np.where(odd, 0.95 * expected, expected)
    return np.where(odd, less, expected * (1 + 0.05 * expected[odd].sum() / max(expected[~odd].sum(), 1e-9)))


def _tested(statistics: list[tuple[float, int]]) -> dict[str, Any]:
    """All worlds together, and the world that is furthest off."""
    some = [(value, freedom) for value, freedom in statistics if freedom > 0]
    value, freedom = sum(v for v, _ in some), sum(f for _, f in some)
    least = min(float(chi2.sf(v, f)) for v, f in some)
    return {
        "chi_squared": round(value, 1),
        "freedom": freedom,
        "p": float(chi2.sf(value, freedom)),
        "least_p_of_a_world": least,
        "worlds_below_1_percent": sum(float(chi2.sf(v, f)) < 0.01 for v, f in some),
    }


def _often(names: list[str]) -> dict[str, int]:
    return {name: names.count(name) for name in sorted(set(names))}
