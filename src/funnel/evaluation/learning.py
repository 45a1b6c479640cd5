"""Advice about the towers' training, from the validation figure of each epoch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from funnel.evaluation.advice import Advice, Training
from funnel.evaluation.compare import short

if TYPE_CHECKING:
    from funnel.evaluation.report import Report

#: Validation that rose by less than this share since the first epoch counts as flat.
_FLAT = 0.05


def training(report: Report) -> Iterator[Advice]:
    """Advice where training ended while validation still rose, never rose, or fell from the start."""
    seen = report.origin.training
    if seen is None:
        return
    curve = [value for value in seen.validation if value is not None]
    if not curve or len(curve) != len(seen.validation) or not 0 <= seen.best < len(curve):
        return
    if seen.best == len(curve) - 1 and len(curve) >= seen.most:
        yield _unfinished(report, seen, curve)
    elif seen.best == 0:
        yield _advice("towers.lr", None, f"{_best(curve, seen)}, and worse after it: try a lower `lr`")
    elif curve[seen.best] <= (1 + _FLAT) * curve[0]:
        sentence = f"{_best(curve, seen)}, hardly above the first ({short(curve[0])})"
        yield _advice(
            "towers.lr", None, f"{sentence}: they learned little; try another `lr`, and look at the data"
        )


def _unfinished(report: Report, seen: Training, curve: list[float]) -> Advice:
    """The gain is what the last quarter of the epochs brought, once more."""
    earlier = curve[max(0, seen.best - max(1, len(curve) // 4))]
    final = report.rows[-1].metrics[f"ndcg@{report.k}"].mean
    gain = final * (curve[seen.best] / earlier - 1) if len(curve) > 1 and earlier > 0 else None
    sentence = f"{_best(curve, seen)}, which was the last that `epochs` under [towers] allows"
    return _advice("towers.epochs", gain, f"{sentence}: they were still learning; allow {2 * seen.most}")


def _best(curve: list[float], seen: Training) -> str:
    return (
        f"the towers' validation (NDCG@100) was best, {short(curve[seen.best])}, "
        f"after epoch {seen.best + 1} of {len(curve)}"
    )


def _advice(key: str, gain: float | None, sentence: str) -> Advice:
    return Advice(about="training", key=key, gain=gain, measured=False, sentence=sentence)
