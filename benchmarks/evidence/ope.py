"""Estimates of what another policy would have earned, beside what it does earn: a sum over all lists there
are.

    python -m benchmarks.evidence ope

20,000 logged lists, 200 times, under three ways to click. z: how far the mean of the estimates is from the
truth, in standard errors of that mean; within 3 where an estimator holds. cover: the share of 95% intervals
that contain the truth, over 2,000 logs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks.evidence._ope_world import (
    CLICKS,
    CONTEXTS,
    ITEMS,
    LENGTH,
    LISTS,
    Policy,
    World,
    new_world,
)
from benchmarks.serving import save
from funnel.off_policy import ESTIMATORS, DrawnLists, Predicted, estimate

LOGS, REPEATS, COVERED = 20_000, 200, 2_000

#: Under which ways to click each estimator holds.
HOLDS = {
    "ips": CLICKS, "snips": CLICKS, "dr": CLICKS, "iips": CLICKS[:1], "rips": CLICKS[:2],
    "snrips": CLICKS[:2], "cascade_dr": CLICKS[:2],
}  # fmt: skip


def main(quick: bool, results: Path) -> None:
    """Measure, print, and write the JSON unless quick."""
    logs, repeats, covered = (4_000, 40, 100) if quick else (LOGS, REPEATS, COVERED)
    rows = [row for kind in CLICKS for row in _measured(kind, logs, repeats, covered)]
    about = {
        "logs": logs,
        "repeats": repeats,
        "logs_covered": covered,
        "level": 0.95,
        "rows": rows,
        **_verdict(rows),
    }
    Console().print_json(data=about)
    if not quick:
        save("evidence-ope", about, results)


def _measured(kind: str, logs: int, repeats: int, covered: int) -> list[dict[str, Any]]:
    """A row an estimator."""
    world = new_world(kind, seed=17)
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(CONTEXTS, ITEMS))
    logging = Policy.of(scores, temperature=1.2, epsilon=0.2)
    judged = Policy.of(scores + rng.normal(size=scores.shape), temperature=0.9, epsilon=0.05)
    model = _Model(world, judged)
    truth = world.value(judged)
    found = np.empty((covered, len(ESTIMATORS), 4))
    for number in range(covered):
        lists = _drawn(world, logging, judged, model, logs, np.random.default_rng((17, number)))
        for at, one in enumerate(estimate(lists, list(ESTIMATORS))):
            assert one.value is not None
            found[number, at] = one.value, one.lo, one.hi, one.effective
    return [_row(kind, name, truth, found[:, at], repeats) for at, name in enumerate(ESTIMATORS)]


class _Model:
    """A model that is half wrong: the truth under clicks of another kind, and nothing of contexts for one
    half."""

    def __init__(self, world: World, judged: Policy) -> None:
        tails = World(world.shares, world.base, "alone").tails()
        tails[::2] = tails.mean(axis=0)
        here = np.empty_like(tails)
        before = np.empty_like(tails)
        for at in range(LENGTH):
            first = LISTS[:, : at + 1] @ ITEMS ** np.arange(at + 1)
            above = LISTS[:, :at] @ ITEMS ** np.arange(at)
            here[:, :, at] = _mean_within(tails[:, :, at], judged.whole, first)
            before[:, :, at] = _mean_within(tails[:, :, at], judged.whole, above)
        self.here, self.before, self.whole = here, before, tails[:, :, 0]


def _mean_within(values: Any, weights: Any, groups: Any) -> Any:
    """[X, L]: the weighted mean over the lists of one group, at each of these."""
    out = np.empty_like(values)
    for group in np.unique(groups):
        inside = groups == group
        share = weights[:, inside]
        out[:, inside] = ((values[:, inside] * share).sum(axis=1) / share.sum(axis=1))[:, None]
    return out


def _drawn(
    world: World, logging: Policy, judged: Policy, model: _Model, logs: int, rng: np.random.Generator
) -> DrawnLists:
    """A log of the logging policy."""
    x = rng.choice(CONTEXTS, size=logs, p=world.shares)
    edges = logging.whole.cumsum(axis=1)
    edges /= edges[:, -1:]
    lists = (rng.random(logs)[:, None] > edges[x]).sum(axis=1)
    clicked = np.zeros((logs, LENGTH), dtype=bool)
    for at in range(LENGTH):
        clicked[:, at] = rng.random(logs) < world.chance(x, lists, clicked, at)
    at = np.arange(LENGTH)
    return DrawnLists(
        rewards=clicked.astype(float),
        logged=logging.conditional[x, lists],
        judged=judged.conditional[x, lists],
        logged_marginal=logging.marginal[x[:, None], at, LISTS[lists]],
        judged_marginal=judged.marginal[x[:, None], at, LISTS[lists]],
        predicted=Predicted(model.here[x, lists], model.before[x, lists], model.whole[x, lists]),
    )


def _row(kind: str, name: str, truth: float, found: Any, repeats: int) -> dict[str, Any]:
    values = found[:repeats, 0]
    error = values.std(ddof=1) / np.sqrt(repeats)
    return {
        "clicks": kind,
        "estimator": name,
        "holds": kind in HOLDS[name],
        "truth": round(truth, 5),
        "mean": round(float(values.mean()), 5),
        "z": round(float((values.mean() - truth) / error), 2),
        "sd": round(float(values.std(ddof=1)), 5),
        "cover": round(float(((found[:, 1] <= truth) & (truth <= found[:, 2])).mean()), 4),
        "effective": round(float(found[:, 3].mean())),
    }


def _verdict(rows: list[dict[str, Any]]) -> dict[str, bool]:
    held = [row for row in rows if row["holds"]]
    (iips,) = (row for row in rows if row["estimator"] == "iips" and row["clicks"] == "cascade")
    return {
        "unbiased": all(abs(row["z"]) < 3 for row in held),
        "covered": all(0.93 <= row["cover"] <= 0.97 for row in held),
        "iips_fails_under_cascade": abs(iips["z"]) > 3 and iips["cover"] < 0.93,
    }
