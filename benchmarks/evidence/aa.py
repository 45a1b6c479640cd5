"""How often equal arms are told apart: by a z-test of requests, by users, and by confidence sequences.

    python -m benchmarks.evidence aa

Each run is an experiment of two weeks whose arms are the same. Users are heavy-tailed, arms are those of the
engine's own assignment, and somebody looks every day. False positives are runs in which the 95% interval
excluded no difference at any look; those of the declared horizon, at the last.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from scipy.stats import norm

from benchmarks.evidence._users import Days, draw_days
from benchmarks.serving import save
from funnel.experiments import sample_ratio
from funnel.experiments.assignment import Assignment
from funnel.experiments.effects import effect
from funnel.experiments.moments import UserMoments
from funnel.experiments.sequences import multiplier

DAYS, USERS, RUNS = 14, 4_000, 1_000


def main(quick: bool, results: Path) -> None:
    """Measure, print, and write the JSON unless quick."""
    runs = 40 if quick else RUNS
    looks = np.array([_run(number) for number in range(runs)])  # [runs, metric, what, days]
    about = {"runs": runs, "users": USERS, "days": DAYS, "looks": DAYS, "alpha": 0.05, **_rates(looks)}
    Console().print_json(data=about)
    if not quick:
        save("evidence-aa", about, results)


def _run(number: int) -> np.ndarray[Any, Any]:
    """What each look finds, by metric: [2, 4, days]: by request, by user, by sequence, sample ratio."""
    rng = np.random.default_rng((17, number))
    days = draw_days(rng, USERS, DAYS)
    halves = Assignment(f"aa-{number}", {"a": 0.5, "b": 0.5})
    arms = np.array([halves.arm(str(user)) == "b" for user in range(USERS)])
    found = [_look(days, arms, day) for day in range(1, DAYS + 1)]
    clock = np.array([look["clock"] for look in found])  # [days, metrics]
    wide = multiplier(clock / (clock[0] * DAYS))  # its scale is known after the first look
    z = np.array([look["z"] for look in found])
    by_request = np.array([look["by_request"] for look in found])
    ratio = np.array([look["ratio"] for look in found])
    once = norm.isf(0.025)
    significant = [np.abs(by_request) > once, np.abs(z) > once, np.abs(z) > wide]
    alarms = np.broadcast_to((ratio > np.log(100))[:, None], z.shape)
    return np.stack([*significant, alarms], axis=0).transpose(2, 0, 1)


def _look(days: Days, arms: np.ndarray[Any, Any], day: int) -> dict[str, Any]:
    """Both metrics after so many days: clicks a request, revenue a user."""
    sums = [days.until(day, np.flatnonzero(arms == arm)) for arm in (0, 1)]
    ratio = effect(*(UserMoments.of(clicks, requests) for requests, clicks, _ in sums))
    mean = effect(*(UserMoments.of(revenue) for _, _, revenue in sums))
    return {
        "z": (ratio.z, mean.z),
        "clock": (ratio.clock, mean.clock),
        "by_request": (_two_proportions(sums), mean.z),
        "ratio": sample_ratio.evidence([len(part[0]) for part in sums], (0.5, 0.5)),
    }


def _two_proportions(sums: list[Any]) -> float:
    """z of clicks a request as if requests were independent of each other."""
    (n0, c0), (n1, c1) = ((part[0].sum(), part[1].sum()) for part in sums)
    p = (c0 + c1) / (n0 + n1)
    return float((c1 / n1 - c0 / n0) / np.sqrt(p * (1 - p) * (1 / n0 + 1 / n1)))


def _rates(looks: np.ndarray[Any, Any]) -> dict[str, Any]:
    """Shares of runs, of axes [runs, metric, what, days], with their 95% intervals."""
    ever, last = looks.any(axis=-1), looks[..., -1]
    found: dict[str, Any] = {}
    for metric, name in enumerate(("clicks a request", "revenue a user")):
        found[name] = {
            "by request, daily looks": _share(ever[:, metric, 0]),
            "by user, daily looks": _share(ever[:, metric, 1]),
            "sequence, daily looks": _share(ever[:, metric, 2]),
            "declared horizon": _share(last[:, metric, 1]),
            "either, as experiments are ended": _share(ever[:, metric, 2] | last[:, metric, 1]),
        }
    del found["revenue a user"]["by request, daily looks"]
    return {**found, "sample ratio": _share(ever[:, 0, 3])}


def _share(hits: np.ndarray[Any, Any]) -> dict[str, float]:
    mean = float(hits.mean())
    margin = 1.96 * np.sqrt(mean * (1 - mean) / len(hits))
    return {"share": mean, "low": float(mean - margin), "high": float(mean + margin)}
