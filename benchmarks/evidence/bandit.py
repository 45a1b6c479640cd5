"""Three arms, of which the weights go to the better ones: what is lost meanwhile, and whether intervals still
hold.

    python -m benchmarks.evidence bandit

1,000 runs of 28 days and 3,000 users a day, who click 10.0%, 10.5% or 11.5% of what they get. Regret: clicks
less than if all had the best arm; beside it a split that stays even. cover: the share of 95% intervals that
contain what an arm earns, of an estimate that knows the weights and of plain means.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from benchmarks.serving import save
from funnel.policies.thompson import Period, arm_values, next_weights

ARMS = ("a", "b", "c")
CLICKS = np.array([0.10, 0.105, 0.115])
RUNS, DAYS, USERS = 1_000, 28, 3_000


def main(quick: bool, results: Path) -> None:
    """Measure, print, and write the JSON unless quick."""
    runs = 100 if quick else RUNS
    lost, even, known, plain = (np.array(part) for part in zip(*map(_run, range(runs)), strict=True))
    about: dict[str, Any] = {"runs": runs, "days": DAYS, "users_a_day": USERS, "clicks": CLICKS.tolist()}
    about |= {
        "regret": round(float(lost.mean()), 1),
        "regret_even_split": round(float(even.mean()), 1),
        "share": round(float(lost.mean() / even.mean()), 3),
        "cover": {arm: round(float(at), 3) for arm, at in zip(ARMS, known.mean(axis=0), strict=True)},
        "cover_plain_means": {
            arm: round(float(at), 3) for arm, at in zip(ARMS, plain.mean(axis=0), strict=True)
        },
    }
    about |= {
        "halved": about["share"] <= 0.5,
        "valid": all(0.93 <= at <= 0.97 for at in about["cover"].values()),
    }
    Console().print_json(data=about)
    if not quick:
        save("evidence-bandit", about, results)


def _run(number: int) -> tuple[float, float, NDArray[np.bool_], NDArray[np.bool_]]:
    """Clicks lost, those of an even split, and by arm whether the intervals contain the truth."""
    rng, periods = np.random.default_rng((17, number)), list[Period]()
    lost = even = 0.0
    for _ in range(DAYS):
        weights = next_weights(ARMS, periods)
        users = rng.multinomial(USERS, list(weights.values()))
        clicks = rng.binomial(users, CLICKS)  # squares of clicks are clicks
        lost += float((users * (CLICKS.max() - CLICKS)).sum())
        even += float((USERS / len(ARMS) * (CLICKS.max() - CLICKS)).sum())
        by_arm = dict(zip(ARMS, clicks.tolist(), strict=True))
        periods.append(Period(weights, dict(zip(ARMS, users.tolist(), strict=True)), by_arm, by_arm))
    values = arm_values(ARMS, periods)
    known = np.array([values[arm].lo <= at <= values[arm].hi for arm, at in zip(ARMS, CLICKS, strict=True)])
    return lost, even, known, _plain(periods)


def _plain(periods: list[Period]) -> NDArray[np.bool_]:
    """The same of plain means."""
    n = np.array([sum(period.users[arm] for period in periods) for arm in ARMS])
    mean = np.array([sum(period.total[arm] for period in periods) for arm in ARMS]) / n
    half = 1.96 * np.sqrt(mean * (1 - mean) / n)
    return np.asarray(np.abs(mean - CLICKS) <= half)
