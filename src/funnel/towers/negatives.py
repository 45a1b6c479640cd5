"""Which items a step's targets are compared with, and how likely each was to be drawn."""

from __future__ import annotations

import numpy as np

from funnel.types import Float32, Int64


class Negatives:
    """Draws shared by all positions of a step: some are other targets of the step, the rest uniform.

    Targets come as often as the log has them, so the two together are draws of the mixture
    Q(i) = share · count(i) / events + (1 - share) / n_items  (mixed negative sampling, Yang et al. 2020).

    counts: int64 [n_items], the training events of each item.
    """

    def __init__(self, counts: Int64, n: int, in_batch: float) -> None:
        self._frequency = counts / max(1, counts.sum())
        self._n, self._in_batch = n, in_batch

    def draw(self, targets: Int64, rng: np.random.Generator) -> tuple[Int64, Float32, Float32]:
        """Item rows [N], log Q of each, and log Q of each target [P].

        N <= n: fewer where the step has fewer targets than their share.
        """
        wanted = round(self._n * self._in_batch)
        others = rng.choice(targets, size=min(wanted, len(targets)), replace=False)
        uniform = rng.integers(0, len(self._frequency), self._n - wanted)
        items = np.concatenate([others, uniform])
        share = len(others) / max(1, len(items))
        return items, self._log_q(items, share), self._log_q(targets, share)

    def _log_q(self, items: Int64, share: float) -> Float32:
        chance = share * self._frequency[items] + (1 - share) / len(self._frequency)
        return np.log(np.maximum(chance, 1e-12)).astype(np.float32)
