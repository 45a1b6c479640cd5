"""The losses that towers may be trained with, by name; what computes them is loaded when they are trained."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Protocol

from funnel.plugins import register

if TYPE_CHECKING:
    from funnel.towers.config import TowersConfig


class Loss(Protocol):
    """What towers are trained to make small: `@register("loss", NAME)` on what makes one.

    That is called with the `TowersConfig` and the number of items; keyword-only arguments are options. Only
    the loss itself may import torch.

    It is called with queries [Q, d], multiplied by 1 / temperature; positives [P, d], the vectors of the
    targets; negatives [N, d], which all positions share; targets and query_of, int64 [P], which item and
    whose; and drawn, whose `items` are the negatives' and whose `log_q` the log of the chance to draw each. A
    negative may be a target of the query. It returns a finite scalar, a mean over the positions.

    Where it has `sampled = False`, it is called with queries, the vectors of all items [n, d], targets and
    query_of.

    Where it has `relative = True`, it compares items only with each other: items without an event are then no
    negatives, if items have columns.
    """

    def __call__(self, *tensors: Any) -> Any:
        """The loss of one step."""


@register("loss", "full_softmax")
def full_softmax(config: TowersConfig, n_items: int) -> Loss:
    """Over all items."""
    return _training().FullSoftmax()


@register("loss", "sampled_softmax")
def sampled_softmax(config: TowersConfig, n_items: int) -> Loss:
    """Over drawn items, corrected for the draw as `logq` says."""
    return _training().SampledSoftmax(config.logq)


@register("loss", "gbce")
def gbce(config: TowersConfig, n_items: int) -> Loss:
    """Generalised binary cross-entropy."""
    return _training().GBCE(n_items)


def _training() -> Any:
    return importlib.import_module("funnel.towers.training.losses")
