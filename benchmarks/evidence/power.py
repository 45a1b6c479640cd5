"""Whether the stated sample size finds a true effect, and how many users a covariate and interleaving save.

    python -m benchmarks.evidence power

A pilot of earlier weeks says how many users an experiment of two weeks needs to find +5% clicks a request
with 80%; then experiments of that size, with that effect, are judged. CUPED goes by two weeks before.
Interleaving is measured in the synthetic world of ads, whose clicks are drawn from known tastes: two rankings
of the same candidates, one of them a little better, once in two arms and once in one list. What A/B needs
depends on its metric: clicks a user, which people come back for, vary far more between people than clicks a
request.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from scipy.stats import norm

from benchmarks.evidence._users import NEW, draw_clicks
from benchmarks.serving import save
from funnel.experiments.effects import effect, users_needed
from funnel.experiments.interleaving import preference, team_draft
from funnel.experiments.moments import UserMoments
from funnel.synthetic import LatentTruth, SyntheticConfig, write_world

DAYS, LIFT, RUNS, PILOT = 14, 0.05, 1_000, 1_000_000
WORLD, REQUESTS, K, CANDIDATES, DRAFTS = 3_000, 20, 10, 60, 4
PEOPLE = 10_000  # of a part of a pilot
NOISE = (1.5, 1.25)  # of the two rankers' scores, as standard deviations of a click's logit


def main(quick: bool, results: Path) -> None:
    """Measure, print, and write the JSON unless quick."""
    runs = 20 if quick else RUNS
    about = {
        "lift": LIFT,
        "days": DAYS,
        "runs": runs,
        "clicks a request": found_with_stated_size(runs),
        "synthetic world": interleaved(20 if quick else RUNS // 2, 1 if quick else 20),
    }
    Console().print_json(data=about)
    if not quick:
        save("evidence-power", about, results)


def found_with_stated_size(runs: int) -> dict[str, Any]:
    """With and without the covariate: users that are stated, and the share of experiments that find it."""
    pilot = _moments(np.random.default_rng((18, 0)), PILOT, 0.0)
    stated = {name: int(users_needed(pilot, LIFT, adjust=name == "CUPED")) for name in ("plain", "CUPED")}
    found = {
        name: _share([_finds(number, users, name == "CUPED") for number in range(runs)])
        for name, users in stated.items()
    }
    saved = 1 - stated["CUPED"] / stated["plain"]
    return {"users": stated, "found": found, "users saved by CUPED": round(saved, 4)}


def _finds(number: int, users: int, adjust: bool) -> bool:
    """Whether one experiment with so many users finds the lift, in its direction, at its horizon."""
    rng = np.random.default_rng((19, number))
    arms = [_moments(rng, users // 2, lift) for lift in (0.0, LIFT)]
    judged = effect(*arms, adjust=adjust)
    return bool(judged.z > norm.isf(0.025))


def _moments(rng: np.random.Generator, users: int, lift: float) -> UserMoments:
    """Clicks and requests of two weeks, and of the two before, of so many users who came."""
    parts = []
    while sum(len(part) for part in parts) < users:
        tables = draw_clicks(rng, max(256, users // 2), 2, days=DAYS, lift=lift, since=1)
        sums = [table[:, period] for period in (1, 0) for table in reversed(tables)]
        parts.append(np.stack(sums, axis=1)[sums[1] > 0])
    clicks, requests, clicks_before, requests_before = np.concatenate(parts)[:users].T
    return UserMoments.of(clicks, requests, clicks_before, requests_before)


@dataclass(frozen=True)
class World:
    """Users with candidates: the logit of a click once looked at [U, C], the best ten by either ranking
    [2, U, 10], some drafts of both with whose each item is [U, DRAFTS, 10], and how active users are [U].
    """

    logits: NDArray[Any]
    best: NDArray[Any]
    drafts: NDArray[Any]
    teams: NDArray[Any]
    activity: NDArray[Any]
    examination: NDArray[Any]


def interleaved(runs: int, pilots: int) -> dict[str, Any]:
    """Users that each way needs for 80%, from pilots, and what is found with as many."""
    config = SyntheticConfig(users=WORLD, items=20_000, events_per_user=2.0, seed=5)
    with tempfile.TemporaryDirectory() as folder:
        truth = LatentTruth.load(write_world(config, Path(folder) / "world") / "truth")
        world = _world(truth, np.random.default_rng(20))
    rng = np.random.default_rng(21)
    per_request, per_user = zip(*(_pilot(world, rng, ranking, pilots) for ranking in (0, 1)), strict=True)
    lift = float(per_request[1].value / per_request[0].value - 1)
    both = [_paired(world, rng, PEOPLE) for _ in range(pilots)]
    judged = preference(*map(np.concatenate, zip(*both, strict=True)), horizon_users=pilots * PEOPLE)
    reach = (norm.isf(0.025) + norm.isf(0.2)) * judged.se / judged.mean
    needed = {
        "A/B, clicks a user": int(users_needed(per_user[0], lift, adjust=False)),
        "A/B, clicks a request": int(users_needed(per_request[0], lift, adjust=False)),
        "A/B, clicks a user, CUPED": int(users_needed(per_user[0], lift)),
        "A/B, clicks a request, CUPED": int(users_needed(per_request[0], lift)),
        "interleaving": int(np.ceil(reach**2 * pilots * PEOPLE)),
    }
    find = {
        "A/B, clicks a user": lambda users: _ab_finds(world, rng, users, 1, False),
        "A/B, clicks a request": lambda users: _ab_finds(world, rng, users, 0, False),
        "A/B, clicks a user, CUPED": lambda users: _ab_finds(world, rng, users, 1, True),
        "A/B, clicks a request, CUPED": lambda users: _ab_finds(world, rng, users, 0, True),
        "interleaving": lambda users: preference(*_paired(world, rng, users), horizon_users=users).low > 0,
    }
    return {
        "true lift": round(lift, 4),
        "users": needed,
        "found": {name: _share([find[name](users) for _ in range(runs)]) for name, users in needed.items()},
        "times the users of interleaving": {
            name: round(users / needed["interleaving"], 1) for name, users in needed.items()
        },
    }


def _world(truth: LatentTruth, rng: np.random.Generator) -> World:
    """Two rankers of the same sixty candidates a user: both see the truth, one with more noise."""
    users = np.arange(WORLD)
    offered = rng.integers(len(truth.items), size=(WORLD, 500))
    every = truth.logits(users, offered, np.zeros(WORLD, dtype=np.int64))
    kept = np.argsort(-(0.5 * every + rng.gumbel(size=every.shape)), axis=1)[:, :CANDIDATES]
    logits = np.take_along_axis(every, kept, axis=1)
    best = [np.argsort(-(logits + sd * rng.standard_normal(logits.shape)), axis=1) for sd in NOISE]
    drafts = [
        [team_draft(a, b, K, (user, number)) for number in range(DRAFTS)]
        for user, (a, b) in enumerate(zip(best[0].tolist(), best[1].tolist(), strict=True))
    ]
    items, teams = (np.array([[draft[i] for draft in own] for own in drafts]) for i in (0, 1))
    top = np.stack(best)[:, :, :K]
    return World(logits, top, items, teams, rng.lognormal(-0.32, 0.8, WORLD), np.asarray(truth.examination))


def _requests(world: World, rng: np.random.Generator, n: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """The world's users that n people are, and whose each request is."""
    users = rng.integers(WORLD, size=n)
    return users, np.repeat(np.arange(n), 1 + rng.poisson(REQUESTS * world.activity[users]))


def _clicks(world: World, rng: np.random.Generator, users: NDArray[Any], items: NDArray[Any]) -> NDArray[Any]:
    """Of lists [R, k] of candidates that users [R] were shown: whether each item was clicked."""
    logit = np.take_along_axis(world.logits[users], items, axis=1) + 0.5 * rng.standard_normal(items.shape)
    return rng.random(items.shape) < world.examination / (1 + np.exp(-logit))


def _arm(world: World, rng: np.random.Generator, n: int, ranking: int) -> tuple[UserMoments, UserMoments]:
    """Clicks a request and clicks a user, of n people who all see one ranking."""
    users, own = _requests(world, rng, n)
    clicked = _clicks(world, rng, users[own], world.best[ranking][users[own]]).sum(axis=1)
    clicks, requests = np.bincount(own, clicked, n), np.bincount(own, minlength=n)
    earlier = _before(world, rng, users)
    return UserMoments.of(clicks, requests, *earlier), UserMoments.of(clicks, None, earlier[0])


def _pilot(
    world: World, rng: np.random.Generator, ranking: int, pilots: int
) -> tuple[UserMoments, UserMoments]:
    """The same of many more people, a part at a time."""
    parts = [_arm(world, rng, PEOPLE, ranking) for _ in range(pilots)]
    return reduce(add, (part[0] for part in parts)), reduce(add, (part[1] for part in parts))


def _before(world: World, rng: np.random.Generator, users: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Clicks and requests of the same people before, by the first ranking; of one in five there were none."""
    n = len(users)
    requests = np.where(rng.random(n) < NEW, 0, 1 + rng.poisson(REQUESTS * world.activity[users]))
    own = np.repeat(np.arange(n), requests)
    clicked = _clicks(world, rng, users[own], world.best[0][users[own]]).sum(axis=1)
    return np.bincount(own, clicked, n), requests


def _ab_finds(world: World, rng: np.random.Generator, users: int, metric: int, adjust: bool) -> bool:
    arms = [_arm(world, rng, max(2, users // 2), ranking)[metric] for ranking in (0, 1)]
    return bool(effect(*arms, adjust=adjust).z > norm.isf(0.025))


def _paired(world: World, rng: np.random.Generator, n: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Clicks by user on the items of each ranking, of interleaved lists."""
    users, own = _requests(world, rng, n)
    chosen = users[own], rng.integers(DRAFTS, size=len(own))
    clicked, teams = _clicks(world, rng, users[own], world.drafts[chosen]), world.teams[chosen]
    of_a, of_b = (np.bincount(own, (clicked & (teams == team)).sum(axis=1), n) for team in (0, 1))
    return of_a, of_b


def _share(hits: list[bool]) -> dict[str, float]:
    mean = float(np.mean(hits))
    margin = 1.96 * np.sqrt(mean * (1 - mean) / len(hits))
    return {"share": mean, "low": round(mean - margin, 4), "high": round(mean + margin, 4)}
