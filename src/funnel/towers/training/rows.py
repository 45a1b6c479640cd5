"""An optimiser for a table of which each step uses few rows: no cost grows with the table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from funnel.towers.training.averaging import Averaging

#: What a step keeps of the mean square of a row's gradients, and what is added to its root: as in Adam.
KEPT, EPSILON = 0.999, 1e-8

#: Rows that are changed at once: 2 MiB of float32 with 64 numbers each, which stay in a core's cache.
PART = 1 << 13


class Rows(NamedTuple):
    """Rows of a table, [n, d], and of their average; second: the mean squares of their gradients, [n, 1];
    last: the step up to which all of these are made up, int32 [n]."""

    weights: Tensor
    average: Tensor
    second: Tensor
    last: Tensor


class LazyRows:
    """Adam without its first moment and with one second moment a row, only where there is a gradient.

    Of a row with gradient g: v = KEPT v + (1 - KEPT) mean(g²), weight -= lr g / (sqrt(v / (1 - KEPT^t)) +
    EPSILON) (Kingma & Ba 2015 with beta1 = 0; a moment a row as in FBGEMM's row-wise Adam). A row without a
    gradient stays where it is, since no momentum carries it on. So it need not be touched: what the steps in
    between do to its moment, its weight decay and its mean is made up for when it is touched next, and at the
    end of an epoch (`settle`), to the same result.

    weights, average: [n, d], changed in place; average is the mean of the weights over the steps.
    """

    def __init__(
        self, weights: Tensor, average: Tensor, averaging: Averaging, lr: float, weight_decay: float
    ) -> None:
        self._averaging, self._lr, self._decay = averaging, lr, 1 - lr * weight_decay
        second = torch.zeros(len(weights), 1, device=weights.device)
        last = torch.zeros(len(weights), dtype=torch.int32, device=weights.device)
        self._rows = Rows(weights.detach(), average.detach(), second, last)

    @torch.no_grad()
    def step(self, rows: Tensor, gradient: Tensor, number: int) -> None:
        """Step `number`, counted from 1. rows: int64 [k], each once; gradient: theirs, [k, d]."""
        for part in _parts(len(rows)):
            here = rows[part]
            some = Rows(*(whole.index_select(0, here) for whole in self._rows))
            self._update(some, gradient[part], number)
            for whole, changed in zip(self._rows, some, strict=True):
                whole.index_copy_(0, here, changed)

    def _update(self, rows: Rows, gradient: Tensor, number: int) -> None:
        self._make_up(rows, number - 1)
        rows.second.mul_(KEPT).add_(gradient.square().mean(1, keepdim=True), alpha=1 - KEPT)
        root = (rows.second / (1 - KEPT**number)).sqrt_().add_(EPSILON)
        rows.weights.mul_(self._decay).addcdiv_(gradient, root, value=-self._lr)
        rows.average.lerp_(rows.weights, 1 - self._averaging.kept(number))
        rows.last.fill_(number)

    def _make_up(self, rows: Rows, number: int) -> None:
        """What steps up to `number` did to rows that they did not touch."""
        gap = (number - rows.last).unsqueeze(1).double()
        kept = self._averaging.over(rows.last, number).unsqueeze(1)
        rows.average.sub_(rows.weights).mul_(kept).add_(rows.weights)
        rows.second.mul_(torch.pow(KEPT, gap).float())
        rows.weights.mul_(torch.pow(self._decay, gap).float())

    @torch.no_grad()
    def settle(self, number: int) -> None:
        """Make up for all steps up to `number`: weights, average and moments are then those of that step."""
        for part in _parts(len(self._rows.last)):
            rows = Rows(*(whole[part] for whole in self._rows))
            self._make_up(rows, number)
            rows.last.fill_(number)

    def state(self) -> dict[str, Tensor]:
        """What is not in weights and average, once `settle`d."""
        return {"second": self._rows.second}

    def restore(self, state: Mapping[str, Tensor], number: int) -> None:
        """Take up a `state` of step `number`."""
        self._rows.second.copy_(state["second"])
        self._rows.last.fill_(number)


def _parts(n: int) -> Iterator[slice]:
    return (slice(at, at + PART) for at in range(0, n, PART))
