"""What an experiment says so far: effects a metric and arm, whether they hold, and what to do, in words.

Two tests stand beside each other. The confidence sequence may be looked at any day, and an experiment may be
ended by it on any day. The test at the declared horizon is made once, of the days up to it, and is the more
sensitive one.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field
from scipy.special import ndtri

from funnel.experiments import sample_ratio
from funnel.experiments.comparing import Answers
from funnel.experiments.config import ExperimentConfig
from funnel.experiments.effects import Effect, effect, smallest_effect
from funnel.experiments.metrics import LiveMetric
from funnel.experiments.multiple import benjamini_hochberg, holm
from funnel.experiments.sequences import multiplier, p_value
from funnel.experiments.sums import UserSums
from funnel.experiments.weighted import ratio_p_value, weighted_effect
from funnel.settings import Settings
from funnel.values.notebook import as_html

#: Chance of a sample-ratio alarm where users came as declared.
RATIO_ALPHA = 0.01

Role = Literal["primary", "guardrail", "other"]
State = Literal["better", "worse", "kept", "broken", "open"]


class Look(Settings):
    """The relative effect as it was known after a day, with its confidence sequence."""

    day: int
    relative: float | None
    low: float | None
    high: float | None


class ArmResult(Settings):
    """One arm beside the control on one metric.

    control, treated: the metric, without what was known of the users before. relative: treated / control - 1,
    None where the control has nothing; states then go by the difference. declared, low, high, p_value: the
    relative effect at the one look at the horizon, its interval and p, None before it; p is adjusted for the
    arms of the primary metric (Holm) or for all other metrics (Benjamini and Hochberg).
    sequence_low, sequence_high: the confidence sequence, which holds at every look.
    sequence_p_value: always valid, not adjusted. saved: share of the variance that earlier events took away.
    smallest: the smallest relative effect that would be found at the horizon. margin: of a guardrail. state:
    what is shown so far. looks: day by day.
    """

    metric: str
    role: Role
    arm: str
    control: float
    treated: float
    relative: float | None
    declared: float | None
    low: float | None
    high: float | None
    sequence_low: float | None
    sequence_high: float | None
    p_value: float | None
    sequence_p_value: float | None
    saved: float
    smallest: float | None
    margin: float | None
    state: State
    looks: tuple[Look, ...]


class Judgement(Settings):
    """The state of an experiment. days: that are over. horizon: that were declared. users: by arm, the
    control first; where shares move, in each period. mixed: users who were seen in two arms, and are left
    out. ratio_p_value: whether users came as declared, the least of all looks. decision: what to do; arm:
    with which arm, where it is to ship. reasons: why, as sentences. shadows: by arm that nobody sees, how
    its lists differ from those that were shown. shares: of the arms by period, where they move. answers_from:
    seconds since 1970, where the log has lost the answers of before, which are of the experiment: it then has
    no winner.
    """

    experiment: str
    days: int
    horizon: int
    users: dict[str, int]
    mixed: int
    ratio_p_value: float
    versions: dict[str, tuple[str, ...]]
    comparisons: tuple[ArmResult, ...]
    decision: Literal["ship", "stop", "go on"]
    arm: str | None
    reasons: tuple[str, ...]
    shadows: dict[str, Answers] = Field({})
    shares: tuple[dict[str, float], ...] = Field(())
    answers_from: float | None = None

    def to_frame(self) -> pd.DataFrame:
        """A row a metric and arm, with the columns of `ArmResult`, but for its looks."""
        rows = [each.model_dump(exclude={"looks"}) for each in self.comparisons]
        columns = [name for name in ArmResult.model_fields if name != "looks"]
        return pd.DataFrame(rows, columns=columns).set_index(["metric", "arm"])

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return as_html(self.to_frame(), f"{self.experiment}: {self.decision}. {' '.join(self.reasons)}")


def judge(name: str, config: ExperimentConfig, sums: UserSums, elapsed: float) -> Judgement:
    """Judge an experiment by what its users did. elapsed: days since its start; only whole ones count."""
    from funnel.experiments.decision import decide

    days = max(0, min(int(elapsed), 10 * config.days))
    treated = [arm for arm in config.served if arm != config.control]
    ratio = _ratio(sums, config, days)
    results = [
        each
        for metric in config.metrics
        for number, arm in enumerate(treated, start=1)
        if (each := _compared(metric, arm, number, len(treated), config, sums, days)) is not None
    ]
    comparisons = _adjusted(results)
    decision, winner, reasons = decide(config, comparisons, ratio, days, RATIO_ALPHA)
    return Judgement(
        experiment=name,
        days=days,
        horizon=config.days,
        users=dict(zip(sums.arms, sums.users(days - 1), strict=True)),
        mixed=sums.mixed,
        ratio_p_value=ratio,
        versions=sums.versions,
        comparisons=tuple(comparisons),
        decision=decision,
        arm=winner,
        reasons=reasons,
        shares=tuple(dict(zip(sums.arms, shares, strict=True)) for shares in sums.shares),
    )


def _ratio(sums: UserSums, config: ExperimentConfig, days: int) -> float:
    """The least p-value of all days so far; 1 where nobody came."""
    if sums.shares:
        return ratio_p_value(sums, days)
    counts = [sums.users(day) for day in range(days)]
    if not counts:
        return 1.0
    return float(sample_ratio.p_value(np.array(counts), list(config.served.values())).min())


def _compared(
    text: str, arm: str, number: int, arms: int, config: ExperimentConfig, sums: UserSums, days: int
) -> ArmResult | None:
    """None as long as there is nothing to compare."""
    metric, alpha = LiveMetric.parse(text), config.alpha / arms
    effects = _effects(metric, number, sums, days)
    if not effects:
        return None
    first, clock = next(iter(effects)), next(iter(effects.values())).clock
    looks = {day: _look(day, each, float(each.clock / clock) * (first + 1) / config.days, alpha)
             for day, each in effects.items()}  # fmt: skip
    # The declared test is of the days up to the horizon, whatever came after it.
    last = effects[min(max(effects), config.days - 1)]
    once = float(-ndtri(alpha / 2))
    over = days >= config.days
    latest, now = looks[max(looks)], effects[max(effects)]
    time = float(now.clock / clock) * (first + 1) / config.days
    always = now.relative_interval(multiplier(time, alpha=alpha))
    declared = last.relative_interval(once) if over else (math.nan, math.nan)
    role: Role = "primary" if text == config.metric else "guardrail" if text in config.guardrails else "other"
    about: dict[str, Any] = {
        "metric": text, "role": role, "arm": arm,
        "control": float(now.control), "treated": float(now.treated),
        "relative": _number(now.relative), "declared": _number(last.relative) if over else None,
        "low": _number(declared[0]), "high": _number(declared[1]),
        "sequence_low": latest.low, "sequence_high": latest.high,
        "p_value": _number(last.p_value) if over else None,
        "sequence_p_value": _number(p_value(now.z, time)) if math.isfinite(now.z) else None,
        "saved": _number(now.saved) or 0.0, "margin": config.guardrails.get(text),
        "smallest": _number(smallest_effect(now, max(1.0, config.days / (max(effects) + 1)), alpha=alpha,
                                            power=config.power)),
    }  # fmt: skip
    state = _state(metric, about["margin"], role, always, declared)
    return ArmResult(**about, state=state, looks=tuple(looks.values()))


def _effects(metric: LiveMetric, arm: int, sums: UserSums, days: int) -> dict[int, Effect]:
    """By day, from the first on at which both arms have people who differ."""
    results = {}
    for day in range(days):
        measured = _effect(metric, arm, sums, day)
        if measured is not None and float(measured.se) > 0 and float(measured.clock) > 0:
            results[day] = measured
    return results


def _effect(metric: LiveMetric, arm: int, sums: UserSums, day: int) -> Effect | None:
    if sums.shares:
        return weighted_effect(sums, metric, arm, day)
    control, treated = (sums.moments(metric, day)[number] for number in (0, arm))
    return None if control is None or treated is None else effect(control, treated)


def _look(day: int, measured: Effect, time: float, alpha: float) -> Look:
    low, high = measured.relative_interval(multiplier(time, alpha=alpha))
    return Look(day=day + 1, relative=_number(measured.relative), low=_number(low), high=_number(high))


def _state(
    metric: LiveMetric,
    margin: float | None,
    role: Role,
    *intervals: tuple[Any, Any],
) -> State:
    """What the sequence shows, or, where the horizon is reached, the declared test. intervals: of the
    relative effect, NaN where there is none; infinite where the control has nothing."""
    states = [_shown(metric, margin, role, *map(float, bounds)) for bounds in intervals]
    return next((state for state in states if state != "open"), "open")


def _shown(metric: LiveMetric, margin: float | None, role: Role, low: float, high: float) -> State:
    least, most = (-high, -low) if metric.less_is_better else (low, high)  # of the gain
    if role == "guardrail":
        assert margin is not None
        return "broken" if most < -margin else "kept" if least > -margin or least >= 0 else "open"
    return "better" if least > 0 else "worse" if most < 0 else "open"


def _adjusted(results: list[ArmResult]) -> list[ArmResult]:
    """p-values adjusted within the primary metric's arms, and within all others."""
    out = list(results)
    for primary, adjust in ((True, holm), (False, benjamini_hochberg)):
        at = [i for i, each in enumerate(results) if (each.role == "primary") == primary]
        given = [math.nan if results[i].p_value is None else float(results[i].p_value or 0) for i in at]
        for i, value in zip(at, adjust(given) if at else [], strict=True):
            out[i] = results[i].model_copy(update={"p_value": None if results[i].p_value is None else value})
    return out


def _number(value: object) -> float | None:
    number = float(value)  # type: ignore[arg-type]
    return number if math.isfinite(number) else None
