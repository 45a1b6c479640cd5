"""Is it as good: every stage and every part of the requests beside the published bundle."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from funnel.distinct import distinct
from funnel.evaluation import Difference, paired
from funnel.evaluation.metrics import Float64
from funnel.gates.config import GatesConfig
from funnel.gates.figures import Figures
from funnel.gates.findings import Finding
from funnel.types import Bool

_LEVEL = 0.99  # of a part's interval: many parts are looked at, and one in forty would fall by chance


def stages(
    new: Figures,
    old: Figures,
    users: NDArray[np.int32],
    config: GatesConfig,
    seed: int,
    requests: str,
    *,
    anchor: bool = False,
) -> list[Finding]:
    """Each stage that both have, and the list that is shown, whatever stage makes it: fails unless a fall of
    the margin × before is excluded.

    requests: on which ones, in words. anchor: whether the old one is the anchor, which has its own margin.
    """
    own = config.anchor_fall if anchor else None
    gate, fall = "anchor" if anchor else "stages", config.stage_fall if own is None else own
    pairs = [
        (f"{stage}, {metric}", after, before)
        for stage, values in new.stages.items()
        for metric, after in values.items()
        if (before := old.stages.get(stage, {}).get(metric)) is not None
    ]
    last, was = list(new.stages)[-1], list(old.stages)[-1]
    if last != was:
        pairs.append((f"the list that is shown ({last}, before {was}), ndcg@{new.k}", new.final, old.final))
    return [
        not_inferior(gate, f"{what} on {requests}", after, before, users, fall, config, seed)
        for what, after, before in pairs
    ]


def beside_popular(
    new: Float64, popular: Float64, users: NDArray[np.int32], config: GatesConfig, seed: int
) -> Finding:
    """The same for a first bundle, which has only popularity to be compared with."""
    what = "the list that is shown beside popularity"
    return not_inferior("stages", what, new, popular, users, config.stage_fall, config, seed)


def not_inferior(
    gate: str,
    what: str,
    new: Float64,
    old: Float64,
    users: NDArray[np.int32],
    fall: float,
    config: GatesConfig,
    seed: int,
) -> Finding:
    """Passed where the one-sided interval of the paired difference lies above −margin × before.

    A test of non-inferiority (Piaggio et al. 2012, JAMA 308(24)): not to have shown a fall is not enough, it
    must be excluded. Of bundles that fell by the margin, `config.power` are stopped. The margin is `fall`, or
    where the holdout is too small for that, what it can see: the fall with which no more than
    `config.alarms` of equal bundles are stopped, (z(power) + z(1 − alarms)) × the standard error; but at most
    `config.visible_fall`.

    A bootstrap knows no loss that it has not met: where few had a hit before, none may have been lost by
    chance. What loses a share q of its hits keeps all of h by the chance (1 − q)^h, so that a share with
    which that is 1 − power is not excluded by them (the rule of three: Hanley & Lippman-Hand 1983, JAMA
    249(13)), unless gains make up for it.
    new, old: [B], request by request.
    """
    mean, hits, most = float(old.mean()), _people(users[old > 0]), max(fall, config.visible_fall)
    change = paired(new, old, users, seed=seed, level=2 * config.power - 1)
    unseen = 1 - (1 - config.power) ** (1 / hits) if hits else 1.0
    sure = change.lo / mean if mean > 0 else np.inf * change.lo if change.lo else 0.0
    worst = max(0.0, -sure, unseen - max(0.0, sure))
    visible = max(unseen, _visible(change, config) / mean if mean > 0 else 0.0)
    margin = min(max(fall, visible), most)
    sentence = (
        f"{what}: {mean:.4f} before, {mean + change.mean:.4f} now, {change.mean:+.4f}; at worst a fall of "
        f"{worst:.1%}, at most {margin:.1%}; {_power(visible, fall, len(new))}"
        f"{_too_few(hits, most, len(new), config.power) if worst > most < unseen else ''}"
    )
    return Finding(gate=gate, passed=worst <= margin, value=worst, limit=margin, sentence=sentence)


def _power(visible: float, fall: float, requests: int) -> str:
    """From which size on falls are beyond chance, and how many requests it would take for `fall`."""
    sentence = f"falls from {visible:.1%} on can be told from chance"
    if visible > fall > 0:
        wanted = int(requests * (visible / fall) ** 2)
        sentence += f" on {requests:,} requests (`gates.holdout`); {fall:.1%} would take about {wanted:,}"
    return sentence


def _people(users: NDArray[np.int32]) -> int:
    """How many they are; −1 is somebody else each time."""
    return len(distinct(users[users >= 0])) + int((users < 0).sum())


def _too_few(hits: int, fall: float, requests: int, power: float) -> str:
    """How many must have had a hit before, for that fall to be excluded where none is lost."""
    if fall == 0:
        return ""
    needed = math.ceil(math.log(1 - power) / math.log(1 - fall))
    some = f", about {math.ceil(requests * needed / hits):,} requests (`gates.holdout`)" if hits else ""
    return f"; {hits:,} people had a hit before, and {needed:,} must have had one{some}"


def _visible(change: Difference, config: GatesConfig) -> float:
    """As a difference of the means; see `not_inferior`."""
    sure, equal = NormalDist().inv_cdf(config.power), NormalDist().inv_cdf(1 - config.alarms)
    error = (change.hi - change.lo) / (2 * sure)
    return (sure + equal) * error


def slices(
    new: Float64,
    old: Float64,
    parts: Mapping[str, Bool],
    users: NDArray[np.int32],
    config: GatesConfig,
    seed: int,
) -> list[Finding]:
    """Each part with enough requests: fails when it fell beyond chance (99%), and on average by too much.

    new, old: NDCG@k of the list that is shown, [B]. parts: by name, which requests are of it, [B].
    """
    findings = []
    for name, inside in parts.items():
        if inside.sum() >= config.slice_requests:
            change = paired(new[inside], old[inside], users[inside], seed=seed, level=_LEVEL)
            worst = change.mean if change.worse else max(change.mean, 0.0)
            what = f"{name} ({int(inside.sum()):,} requests)"
            findings.append(fall_beyond_chance("slices", what, change, old[inside], config.slice_fall, worst))
    return findings


def fall_beyond_chance(
    gate: str, what: str, change: Difference, before: Float64, limit: float, surely: float
) -> Finding:
    """surely: the change that is beyond chance; it is given as a share of `before`."""
    mean = float(before.mean())
    fall = max(0.0, -surely) / mean if mean > 0 else 0.0
    sentence = (
        f"{what}: {mean:.4f} before, {mean + change.mean:.4f} now, {change.mean:+.4f} "
        f"[{change.lo:+.4f}, {change.hi:+.4f}]; a fall of {fall:.1%} beyond chance, at most {limit:.1%}"
    )
    return Finding(gate=gate, passed=fall <= limit, value=fall, limit=limit, sentence=sentence)
