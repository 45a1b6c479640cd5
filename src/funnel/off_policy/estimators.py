"""Estimators of what another policy would have earned, each with what it takes for granted.

ips, snips     inverse propensity scores of whole lists (Horvitz & Thompson 1952), and normalised by their sum
               (Swaminathan & Joachims, NeurIPS 2015)
iips           each position by itself (Li et al., KDD 2018)
rips, snrips   each position with those above it, and normalised position by position (McInerney et al., KDD
2020) dr             a model corrected by the weights of whole lists (Dudík, Langford & Li, ICML 2011)
cascade_dr     a model corrected position by position (Kiyohara et al., WSDM 2022)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from funnel.errors import ConfigError, FunnelError
from funnel.off_policy.estimates import (
    Contributions,
    Estimate,
    effective_size,
    interval,
    of_mean,
    of_ratio,
    summed,
)
from funnel.off_policy.lists import DrawnLists, Predicted
from funnel.types import Float64
from funnel.values.nearest import hint

#: Effective lists below which no estimate is given.
FLOOR = 100.0

_ANY = "clicks of any kind"
_CASCADE = "what comes of a position goes by its item and those above it, not those below"
_ALONE = "what comes of a position goes by its own item alone"


@dataclass(frozen=True)
class _Estimator:
    holds: str
    weights: Callable[[DrawnLists], Float64]
    of: Callable[[DrawnLists, Float64], Contributions]


def estimate(
    lists: DrawnLists,
    estimators: Sequence[str] = ("snips", "snrips"),
    *,
    clip: float | None = None,
    floor: float = FLOOR,
    level: float = 0.95,
) -> list[Estimate]:
    """What the judged policy would have earned a list, by each estimator; with how far that is from what was
    earned.

    clip: weights above it are cut to it, which trades variance for bias: the share is in `Estimate.clipped`,
    and the interval knows nothing of the bias. floor: effective lists below which an estimate is refused.
    level: of intervals.

        (snips,) = estimate(DrawnLists(rewards, logged, judged), ["snips"])

    Raises: ConfigError for an unknown estimator; FunnelError where a log is deterministic and the policy that
    is judged is another one, since it does not show what else would have earned, or where an estimator lacks
    what it needs.
    """
    if lists.is_deterministic and not (lists.judged == 1).all():
        raise FunnelError(
            "nothing in this log was left to chance (each propensity is 1): it shows what these lists "
            "earned, and not what others would have. Draw a share of lists ([explore] in the config), and "
            "judge by those"
        )
    return [_estimated(name, lists, clip, floor, level) for name in estimators]


def _estimated(name: str, lists: DrawnLists, clip: float | None, floor: float, level: float) -> Estimate:
    if name not in ESTIMATORS:
        raise ConfigError(f"there is no estimator {name!r}; {hint(name, ESTIMATORS)}")
    estimator = ESTIMATORS[name]
    weights = estimator.weights(lists)
    # Behind the first positions weights only vary more: the last says how much the log knows.
    effective = min(effective_size(column) for column in weights.T)
    cut = np.zeros_like(weights, dtype=bool) if clip is None else weights > clip
    weights = weights if clip is None else np.minimum(weights, clip)
    about = Estimate(
        name, estimator.holds, len(lists), effective, level, clip=clip, clipped=float(cut.mean())
    )
    if effective < floor:
        return replace(about, refused=_too_few(effective, floor, len(lists)))
    parts = estimator.of(lists, weights)
    return _with_interval(about, lists, parts)


def _with_interval(about: Estimate, lists: DrawnLists, parts: Contributions) -> Estimate:
    earned = of_mean(lists.rewards.sum(axis=1))
    value, lo, hi = interval(parts.value, parts.influence, lists.users, about.level)
    change = interval(
        parts.value - earned.value, parts.influence - earned.influence, lists.users, about.level
    )
    return replace(about, value=value, lo=lo, hi=hi, change=change)


def _too_few(effective: float, floor: float, lists: int) -> str:
    return (
        f"{lists:,} lists say as much as {effective:,.0f} of this policy's own, and {floor:,.0f} are "
        "wanted: it shows what was hardly ever shown. Log more, explore more, or judge a policy that is "
        "nearer to the logged one"
    )


def _of_lists(lists: DrawnLists) -> Float64:
    return np.prod(lists.judged / lists.logged, axis=1)[:, None]


def _of_prefixes(lists: DrawnLists) -> Float64:
    return np.asarray(np.cumprod(lists.judged / lists.logged, axis=1))


def _of_positions(lists: DrawnLists) -> Float64:
    if lists.logged_marginal is None or lists.judged_marginal is None:
        raise FunnelError(
            "iips weighs each position by the chance of its item there whatever stands above, and a log has "
            "the chance given what stands above: give logged_marginal and judged_marginal, or use rips"
        )
    return lists.judged_marginal / lists.logged_marginal


def _ips(lists: DrawnLists, weights: Float64) -> Contributions:
    return of_mean(weights[:, 0] * lists.rewards.sum(axis=1))


def _snips(lists: DrawnLists, weights: Float64) -> Contributions:
    return of_ratio(weights[:, 0], lists.rewards.sum(axis=1))


def _by_position(lists: DrawnLists, weights: Float64) -> Contributions:
    return of_mean((weights * lists.rewards).sum(axis=1))


def _normalised_by_position(lists: DrawnLists, weights: Float64) -> Contributions:
    return summed([of_ratio(w, r) for w, r in zip(weights.T, lists.rewards.T, strict=True)])


def _dr(lists: DrawnLists, weights: Float64) -> Contributions:
    model = _model(lists)
    whole = model.here[:, 0] if model.whole is None else model.whole
    return of_mean(model.before[:, 0] + weights[:, 0] * (lists.rewards.sum(axis=1) - whole))


def _cascade_dr(lists: DrawnLists, weights: Float64) -> Contributions:
    """Σ over positions of w[:k] (r[k] + what is thought of the rest) less w[:k] times what was thought of it
    here."""
    model = _model(lists)
    above = np.concatenate([np.ones((len(lists), 1)), weights[:, :-1]], axis=1)
    return of_mean((weights * (lists.rewards - model.here) + above * model.before).sum(axis=1))


def _model(lists: DrawnLists) -> Predicted:
    if lists.predicted is None:
        raise FunnelError("a model is needed for dr and cascade_dr: give DrawnLists its `predicted`")
    return lists.predicted


ESTIMATORS: Mapping[str, _Estimator] = {
    "ips": _Estimator(_ANY, _of_lists, _ips),
    "snips": _Estimator(_ANY, _of_lists, _snips),
    "iips": _Estimator(_ALONE, _of_positions, _by_position),
    "rips": _Estimator(_CASCADE, _of_prefixes, _by_position),
    "snrips": _Estimator(_CASCADE, _of_prefixes, _normalised_by_position),
    "dr": _Estimator(_ANY, _of_lists, _dr),
    "cascade_dr": _Estimator(_CASCADE, _of_prefixes, _cascade_dr),
}
