"""Gradients and the validation metric of the ranker, in the form that LightGBM calls."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from funnel.ranker import weighted
from funnel.ranker.config import RankerConfig
from funnel.ranker.lists import TrainingLists
from funnel.types import Bool, Float32, Int64

#: The metric looks at so many first positions.
FIRST = 10


@dataclass(frozen=True)
class Graded:
    """Labels of lists, without features. labels, weights: float32 [N]. offsets: int64 [L + 1]. importance:
    float32 [L], how much each list counts; default 1. followed: bool [L], whether it counts in the metric;
    default all."""

    labels: Float32
    weights: Float32
    offsets: Int64
    importance: Float32 = field(default_factory=lambda: np.empty(0, dtype=np.float32))
    followed: Bool = field(default_factory=lambda: np.empty(0, dtype=np.bool_))

    def __post_init__(self) -> None:
        if len(self.importance) == 0:
            object.__setattr__(self, "importance", np.ones(len(self.offsets) - 1, dtype=np.float32))
        if len(self.followed) == 0:
            object.__setattr__(self, "followed", np.ones(len(self.offsets) - 1, dtype=np.bool_))

    @classmethod
    def of(cls, lists: TrainingLists, kept: Bool | None = None) -> Graded:
        """From training lists. kept: bool [L], the lists to take; default all."""
        kept = np.ones(len(lists), dtype=np.bool_) if kept is None else kept
        rows = np.repeat(kept, lists.sizes)
        offsets = np.concatenate([[0], np.cumsum(lists.sizes[kept])]).astype(np.int64)
        return cls(
            lists.labels[rows], lists.weights[rows], offsets, lists.importance[kept], lists.followed[kept]
        )

    @property
    def uneven(self) -> bool:
        """Whether some rows or lists count more than others."""
        return not ((self.weights == 1).all() and (self.importance == 1).all())

    @property
    def watched(self) -> float:
        """How much its lists count in the metric, all together."""
        return float((self.importance * self.followed).sum())

    def ndcg(self, scores: Any, _: Any = None) -> tuple[str, float, bool]:
        """The mean NDCG@10 of scores, as LightGBM takes a metric: name, value, and that more is better."""
        scores = np.asarray(scores, dtype=np.float64)
        about = (self.labels, self.weights, self.offsets, self.importance * self.followed)
        return "ndcg", float(weighted.ndcg(scores, *about, FIRST)), True


class Gradients:
    """Gradients of a ranking objective for weighted rows, as a function that LightGBM calls."""

    def __init__(self, config: RankerConfig, lists: Graded) -> None:
        self._lists, self._config = lists, config
        alike = (lists.importance == 1).all()
        self._importance = None if alike else np.repeat(lists.importance, np.diff(lists.offsets))

    def __call__(self, scores: Any, _: Any = None) -> tuple[Any, Any]:
        """Gradient and hessian: float64 [N] each."""
        lists, n = self._lists, len(self._lists.labels)
        scores = np.asarray(scores, dtype=np.float64)
        gradient, hessian = np.empty(n), np.empty(n)
        about = (scores, lists.labels, lists.weights, lists.offsets)
        if self._config.objective == "lambdarank":
            weighted.lambdarank(*about, self._config.truncation, gradient, hessian)
        else:
            weighted.xe_ndcg(*about, gradient, hessian)
        if self._importance is not None:
            gradient, hessian = gradient * self._importance, hessian * self._importance
        return gradient, hessian


def gradients(config: RankerConfig, lists: Graded, uneven: bool) -> Gradients | None:
    """The gradients; None where LightGBM's own will do (`binary`, or lambdarank without weights). uneven: of
    all the lists that the trees are grown on, of which these may be a part."""
    if config.objective == "binary" or (config.objective == "lambdarank" and not uneven):
        return None
    return Gradients(config, lists)
