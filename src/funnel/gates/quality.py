"""Is it as good: every stage and every part of the requests beside the published bundle."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from funnel.evaluation import Difference, paired
from funnel.evaluation.metrics import Float64
from funnel.gates.config import GatesConfig
from funnel.gates.figures import Figures
from funnel.gates.findings import Finding
from funnel.types import Bool

_LEVEL = 0.99  # of a part's interval: many parts are looked at, and one in forty would fall by chance


def stages(
    new: Figures, old: Figures, users: NDArray[np.int32], config: GatesConfig, seed: int, requests: str
) -> list[Finding]:
    """Each stage that both have: closed when the whole interval of the difference is below −fall × before.

    requests: on which ones, in words.
    """
    found = []
    for stage, values in new.stages.items():
        for metric in values:
            before = old.stages.get(stage, {}).get(metric)
            if before is not None:
                change = paired(values[metric], before, users, seed=seed)
                name = f"{stage}, {metric} on {requests}"
                found.append(_fall("stages", name, change, before, config.stage_fall, change.hi))
    return found


def beside_popular(
    new: Float64, popular: Float64, users: NDArray[np.int32], config: GatesConfig, seed: int
) -> Finding:
    """The same for a first bundle, which has only popularity to be compared with."""
    change = paired(new, popular, users, seed=seed)
    return _fall(
        "stages", "the list that is shown beside popularity", change, popular, config.stage_fall, change.hi
    )


def slices(
    new: Float64,
    old: Float64,
    parts: Mapping[str, Bool],
    users: NDArray[np.int32],
    config: GatesConfig,
    seed: int,
) -> list[Finding]:
    """Each part with enough requests: closed when it fell beyond chance (99%), and on average by too much.

    new, old: NDCG@k of the list that is shown, [B]. parts: by name, which requests are of it, [B].
    """
    found = []
    for name, inside in parts.items():
        if inside.sum() >= config.slice_requests:
            change = paired(new[inside], old[inside], users[inside], seed=seed, level=_LEVEL)
            worst = change.mean if change.worse else max(change.mean, 0.0)
            what = f"{name} ({int(inside.sum()):,} requests)"
            found.append(_fall("slices", what, change, old[inside], config.slice_fall, worst))
    return found


def _fall(gate: str, what: str, change: Difference, before: Float64, limit: float, surely: float) -> Finding:
    """surely: the change that is beyond chance; it is told as a share of what was before."""
    mean = float(before.mean())
    fall = max(0.0, -surely) / mean if mean > 0 else 0.0
    said = (
        f"{what}: {mean:.4f} before, {mean + change.mean:.4f} now, {change.mean:+.4f} "
        f"[{change.lo:+.4f}, {change.hi:+.4f}]; a fall of {fall:.1%} beyond chance, at most {limit:.1%}"
    )
    return Finding(gate=gate, passed=fall <= limit, value=fall, limit=limit, sentence=said)
