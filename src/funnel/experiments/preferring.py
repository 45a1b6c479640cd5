"""An experiment whose lists are of both arms: which arm's items users prefer, judged paired by user."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from funnel.experiments.config import ExperimentConfig
from funnel.experiments.decision import decide
from funnel.experiments.interleaving import INTERLEAVED, Liking
from funnel.experiments.judging import RATIO_ALPHA, ArmResult, Judgement, Look, State
from funnel.experiments.metrics import LiveMetric
from funnel.experiments.sequences import multiplier, p_value
from funnel.experiments.sums import DAY
from funnel.impressions import Impression
from funnel.values.ids import written


@dataclass
class TeamClicks:
    """Who saw interleaved lists, and clicks on items that one of the teams put in: whose, of which team, and
    on which day, 0 the first. versions: of the bundles that answered. lost: people some of whose events
    nobody has any more."""

    people: dict[str, int] = field(default_factory=dict)
    users: list[int] = field(default_factory=list)
    teams: list[int] = field(default_factory=list)
    days: list[int] = field(default_factory=list)
    versions: set[str] = field(default_factory=set)
    lost: int = 0

    def by_user(self, day: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Clicks on either team's items, up to a day: float64 [users] each."""
        users, teams = np.array(self.users, dtype=np.int64), np.array(self.teams, dtype=np.int64)
        there = np.array(self.days, dtype=np.int64) <= day
        counted = [np.bincount(users[there & (teams == team)], minlength=len(self.people)) for team in (0, 1)]
        return counted[0].astype(np.float64), counted[1].astype(np.float64)


def team_clicks(
    name: str,
    metric: LiveMetric,
    start: float,
    joined: Iterable[tuple[Impression, list[dict[str, Any]]]],
) -> TeamClicks:
    """Collect them. joined: answers of the log with what came of each item, see `funnel.impressions.join`; an
    answer that is not interleaved says nothing."""
    clicks, column = TeamClicks(), f"outcome.{metric.what}"
    for answer, rows in joined:
        user = written(answer.user)
        if user is None or not answer.teams or answer.arms.get(name) != INTERLEAVED:
            continue
        number = clicks.people.setdefault(user, len(clicks.people))
        clicks.versions.add(answer.version)
        for team, row in zip(answer.teams, rows, strict=True):
            if team >= 0 and row.get(column):
                clicks.users.append(number)
                clicks.teams.append(team)
                clicks.days.append(max(0, int((answer.time - start) // DAY)))
    return clicks


def judge_preference(name: str, config: ExperimentConfig, clicks: TeamClicks, elapsed: float) -> Judgement:
    """Judge it. elapsed: days since its start; only whole ones count.

    The one result has as `control` and `treated` the share of a user's clicks that went to either arm's
    items, at the mean of users who clicked; `relative` is their ratio less 1.
    """
    days = max(0, min(int(elapsed), 10 * config.days))
    result = _result(config, clicks, days)
    results = [] if result is None else [result]
    decision, winner, reasons = decide(config, results, 1.0, days, RATIO_ALPHA)
    return Judgement(
        experiment=name,
        days=days,
        horizon=config.days,
        users={INTERLEAVED: len(clicks.people)},
        mixed=0,
        ratio_p_value=1.0,
        versions={INTERLEAVED: tuple(sorted(clicks.versions))},
        comparisons=tuple(results),
        decision=decision,
        arm=winner,
        reasons=reasons,
    )


def _result(config: ExperimentConfig, clicks: TeamClicks, days: int) -> ArmResult | None:
    """None as long as there are not two users who clicked and differ."""
    likings = {day: Liking.of(*clicks.by_user(day)) for day in range(days)}
    likings = {day: liking for day, liking in likings.items() if liking.se > 0}
    if not likings:
        return None
    looks = {day: _look(day, likings, config) for day in likings}
    now, latest = likings[max(likings)], looks[max(looks)]
    last = likings[min(max(likings), config.days - 1)]  # the declared test is of the days up to the horizon
    over, once = days >= config.days, float(-ndtri(config.alpha / 2))
    low, high = _bounds(last, once) if over else (None, None)
    growth = max(1.0, config.days / (max(likings) + 1))
    reach = float(-ndtri(config.alpha / 2) - ndtri(1 - config.power)) * now.se / math.sqrt(growth)
    return ArmResult(
        metric=config.metric,
        role="primary",
        arm=next(arm for arm in config.arms if arm != config.control),
        control=(1 - now.mean) / 2,
        treated=(1 + now.mean) / 2,
        relative=_ratio(now.mean),
        declared=_ratio(last.mean) if over else None,
        low=low,
        high=high,
        sequence_low=latest.low,
        sequence_high=latest.high,
        p_value=float(2 * ndtr(-abs(last.mean) / last.se)) if over else None,
        sequence_p_value=float(p_value(now.mean / now.se, _time(max(likings), likings, config))),
        saved=0.0,
        smallest=_ratio(reach),
        margin=None,
        state=_state([_sequence(max(likings), likings, config), *([(last, once)] if over else [])]),
        looks=tuple(looks.values()),
    )


def _time(day: int, likings: Mapping[int, Liking], config: ExperimentConfig) -> float:
    """How much of the evidence is there, by users who clicked: the first look sets the scale."""
    first = min(likings)
    return likings[day].users / likings[first].users * (first + 1) / config.days


def _sequence(day: int, likings: Mapping[int, Liking], config: ExperimentConfig) -> tuple[Liking, float]:
    """What was known on a day, and how many standard errors its sequence is wide on each side."""
    return likings[day], float(multiplier(_time(day, likings, config), alpha=config.alpha))


def _look(day: int, likings: Mapping[int, Liking], config: ExperimentConfig) -> Look:
    low, high = _bounds(*_sequence(day, likings, config))
    return Look(day=day + 1, relative=_ratio(likings[day].mean), low=low, high=high)


def _bounds(liking: Liking, errors: float) -> tuple[float | None, float | None]:
    return _ratio(liking.mean - errors * liking.se), _ratio(liking.mean + errors * liking.se)


def _ratio(mean: float) -> float | None:
    """A preference from -1 to 1 as the ratio of the shares of clicks, less 1; None where all are the
    other's."""
    mean = max(mean, -1.0)
    return None if mean >= 1 else 2 * mean / (1 - mean)


def _state(seen: list[tuple[Liking, float]]) -> State:
    for liking, errors in seen:
        if abs(liking.mean) > errors * liking.se:
            return "better" if liking.mean > 0 else "worse"
    return "open"
