"""Exponential means of weights over the steps of training, also of weights that most steps leave alone."""

from __future__ import annotations

import math

import torch
from torch import Tensor

#: How much longer the mean is after each of the first steps: step t keeps t / (t + WARM) of it.
WARM = 10


class Averaging:
    """mean_t = k_t mean_(t-1) + (1 - k_t) weight_t, k_t = min(decay, t / (t + WARM)), steps counted from 1.

    Polyak & Juditsky 1992, with a shorter mean in the first steps. Over steps in which a weight stays as it
    is the mean goes to it by the product of their k, so that it need not be touched meanwhile.
    """

    def __init__(self, decay: float) -> None:
        self._decay = decay
        self._warm = math.floor(WARM * decay / (1 - decay))  # the last step that keeps t / (t + WARM)
        self._log_decay = math.log(max(decay, 1e-300))

    def kept(self, step: int) -> float:
        """The share of the mean that a step keeps."""
        return min(self._decay, step / (step + WARM))

    def over(self, last: Tensor, step: int) -> Tensor:
        """The share that the steps behind `last`, of any shape, up to `step` keep together: float32."""
        now = torch.tensor(float(step), dtype=torch.float64, device=last.device)
        return (self._log_product(now) - self._log_product(last.double())).exp().float()

    def _log_product(self, steps: Tensor) -> Tensor:
        """log of the product of k over the first steps: of t / (t + WARM) it is t! WARM! / (t + WARM)!."""
        warm = steps.clamp(max=self._warm)
        first = torch.lgamma(warm + 1) + math.lgamma(WARM + 1) - torch.lgamma(warm + WARM + 1)
        return first + (steps - warm) * self._log_decay
