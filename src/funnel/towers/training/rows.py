"""An optimiser for a table of which each step uses few rows: no cost grows with the table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from funnel.towers.training.averaging import Averaging

#: What a step keeps of the mean square of a row's gradients, and what is added to its root: as in Adam.
KEPT, EPSILON = 0.999, 1e-8

#: Rows that are changed at once: 2 MiB of float32 with 64 numbers each, which stay in a core's cache.
PART = 1 << 13


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
        self.weights, self.average = weights.detach(), average.detach()
        self._averaging, self._lr, self._decay = averaging, lr, 1 - lr * weight_decay
        self.second = torch.zeros(len(weights), 1, device=weights.device)
        self._last = torch.zeros(len(weights), dtype=torch.int32, device=weights.device)

    @torch.no_grad()
    def step(self, rows: Tensor, gradient: Tensor, number: int) -> None:
        """Step `number`, counted from 1. rows: int64 [k], each once; gradient: theirs, [k, d]."""
        for part in _parts(len(rows)):
            here = rows[part]
            some = [one.index_select(0, here) for one in self._arrays]
            self._update(*some, gradient[part], number)
            for whole, changed in zip(self._arrays, some, strict=True):
                whole.index_copy_(0, here, changed)

    @property
    def _arrays(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return self.weights, self.average, self.second, self._last

    def _update(
        self, weights: Tensor, average: Tensor, second: Tensor, last: Tensor, gradient: Tensor, number: int
    ) -> None:
        self._make_up(weights, average, second, last, number - 1)
        second.mul_(KEPT).add_(gradient.square().mean(1, keepdim=True), alpha=1 - KEPT)
        weights.mul_(self._decay)
        root = (second / (1 - KEPT**number)).sqrt_().add_(EPSILON)
        weights.addcdiv_(gradient, root, value=-self._lr)
        average.lerp_(weights, 1 - self._averaging.kept(number))
        last.fill_(number)

    def _make_up(self, weights: Tensor, average: Tensor, second: Tensor, last: Tensor, number: int) -> None:
        """What steps up to `number` did to rows that they did not touch."""
        gap = (number - last).unsqueeze(1).double()
        kept = self._averaging.over(last, number).unsqueeze(1)
        average.sub_(weights).mul_(kept).add_(weights)
        second.mul_(torch.pow(KEPT, gap).float())
        weights.mul_(torch.pow(self._decay, gap).float())

    @torch.no_grad()
    def settle(self, number: int) -> None:
        """Make up for all steps up to `number`: weights, average and moments are then those of that step."""
        for part in _parts(len(self.weights)):
            rows = [one[part] for one in self._arrays]
            self._make_up(*rows, number)
            rows[3].fill_(number)

    def state(self) -> dict[str, Tensor]:
        """What is not in weights and average, once `settle`d."""
        return {"second": self.second}

    def restore(self, state: Mapping[str, Tensor], number: int) -> None:
        """Take up a `state` of step `number`."""
        self.second.copy_(state["second"])
        self._last.fill_(number)


def _parts(n: int) -> Iterator[slice]:
    return (slice(at, at + PART) for at in range(0, n, PART))
