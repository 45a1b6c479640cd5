"""Which items a step's targets are compared with, and how likely each was to be drawn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from funnel.towers.config import TowersConfig
from funnel.towers.training.near import near_items
from funnel.types import Float32, Int32, Int64

Float64 = NDArray[np.float64]

#: Hard negatives are drawn from so many of the items nearest to a target.
NEAR = 20


class CountedFrequencies:
    """How often each item is a target: its share of the log. counts: [n_items]."""

    def __init__(self, counts: NDArray[Any]) -> None:
        self._chances = counts / max(1, counts.sum())

    def chances(self) -> Float64:
        """float64 [n_items], adding up to 1."""
        return self._chances

    def of(self, items: Int64) -> Float64:
        """Those of some items: float64, one for each."""
        return self._chances[items]

    def see(self, targets: Int64) -> None:
        """Nothing is learned on the way."""

    def state(self) -> dict[str, torch.Tensor]:
        """Nothing, for the same reason."""
        return {}

    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        """Take up a `state`."""


class Streaming:
    """The same estimated on the way: one over the mean number of positions between two meetings of an item.

    Yi et al. 2019 (doi 10.1145/3298689.3346996, algorithm 2) with positions in place of steps, so that an
    item that comes twice in a step counts twice. rate: weight of the newest gap in the mean. Starts even;
    an item that was never seen in more positions than there are items is as rare as one in these.
    """

    def __init__(self, n_items: int, rate: float = 0.05) -> None:
        self._rate, self._position = rate, 0
        self._last = np.zeros(n_items, dtype=np.int64)
        self._gap = np.full(n_items, float(n_items))

    def chances(self) -> Float64:
        """float64 [n_items]; adds up to about 1 once every item was seen a few times."""
        return self.of(np.arange(len(self._gap)))

    def of(self, items: Int64) -> Float64:
        """Those of some items: float64, one for each."""
        unmet = np.where(self._last[items] == 0, self._position, 0)
        chances: Float64 = 1 / np.maximum(self._gap[items], unmet)
        return chances

    def see(self, targets: Int64) -> None:
        """A step's targets, in any order: int64 [P]."""
        self._position += len(targets)
        items, times = np.unique(targets, return_counts=True)
        gap = (self._position - self._last[items]) / times
        kept = (1 - self._rate) ** times
        self._gap[items] = np.maximum(kept * self._gap[items] + (1 - kept) * gap, 1.0)
        self._last[items] = self._position

    def state(self) -> dict[str, torch.Tensor]:
        """What was learned, for a checkpoint."""
        parts = {"last": self._last, "gap": self._gap, "position": np.array(self._position)}
        return {name: torch.from_numpy(part.copy()) for name, part in parts.items()}

    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        """Take up a `state`."""
        self._last, self._gap = state["last"].numpy().copy(), state["gap"].numpy().copy()
        self._position = int(state["position"])


class Negatives:
    """Draws shared by all positions of a step: other targets of the step, items near to targets, uniform.

    Targets come as often as the log has them, so together these are draws of the mixture
    Q(i) = a · P(i) + h · near(i) + (1 - a - h) / n_items, P the chance that a target is i, near the chance
    that a random one of the NEAR neighbours of a random target is i (mixed negative sampling, Yang et al.
    2020; hard ones from an index that is refreshed, Xiong et al. 2021, ANCE).

    A query's own targets are in its step for certain. Where it has several, r of the step's positions, a draw
    from the step is one of them by r more than P says, and of the draws that are none of its own the share
    from the step is a (1 - r) / (1 - a r): Q is then another for each query. Where each position asks for
    itself, r is one in thousands and left out.

    counts: [n_items], how often each item is to be found. offered: int64 [n], ascending rows of those that
    may be negatives, all that are to be found among them; default all.
    """

    def __init__(self, config: TowersConfig, counts: NDArray[Any], offered: Int64 | None = None) -> None:
        self._counts_of, self._hard = config.negative_counts, config.hard
        self._n = len(counts)
        self._offered = np.arange(len(counts)) if offered is None else offered
        self.frequency: CountedFrequencies | Streaming = (
            CountedFrequencies(counts) if config.frequencies == "counted" else Streaming(len(counts))
        )
        self._neighbours: Int32 | None = None
        self._near: Float64 | None = None

    def draw(
        self, targets: Int64, rng: np.random.Generator, query_of: Int64 | None = None
    ) -> tuple[Int64, Float32, Float32]:
        """Item rows [N], log Q of each, and log Q of each target [P].

        query_of: int64 [P], ascending from 0, whose target each is; log Q is then [max(query_of) + 1, N].
        None: each has a query of its own. N is less than `config.negatives` where the step has fewer targets
        than their share. Hard ones are drawn once there was a `refresh`, uniform ones in their place before.
        """
        self.frequency.see(targets)
        parts = self._parts(targets, rng)
        items = np.concatenate(parts)
        shares = np.array([len(part) for part in parts]) / max(1, len(items))
        if query_of is None:
            return items, self._log_q(items, shares), self._log_q(targets, shares)
        own = np.bincount(query_of) / len(targets)
        mixed = np.repeat(shares[:, None], len(own), 1)
        mixed[0] *= 1 - own
        mixed /= np.maximum(1 - shares[0] * own, 1e-12)
        return items, self._log_q(items, mixed[:, :, None]), self._log_q(targets, mixed[:, query_of])

    def _parts(self, targets: Int64, rng: np.random.Generator) -> list[Int64]:
        """Draws from the step, hard ones, uniform ones."""
        wanted, hard, even = self._counts_of
        drawn = rng.choice(targets, size=min(wanted, len(targets)), replace=False)
        if self._neighbours is None:
            return [drawn, np.empty(0, np.int64), self._even(rng, hard + even)]
        of = rng.choice(targets, hard)
        positions = of if self._all else np.searchsorted(self._offered, of)
        near = self._neighbours[positions, rng.integers(0, NEAR, hard)].astype(np.int64)
        return [drawn, near, self._even(rng, even)]

    def _even(self, rng: np.random.Generator, n: int) -> Int64:
        return self._offered[rng.integers(0, len(self._offered), n)]

    def _log_q(self, items: Int64, shares: Float64) -> Float32:
        """log of the mixture of these shares (first dimension: the three parts), broadcast over the items."""
        mixture = shares[0] * self.frequency.of(items) + shares[2] / len(self._offered)
        if self._near is not None:
            mixture = mixture + shares[1] * self._near[items]
        return np.log(np.maximum(mixture, 1e-12)).astype(np.float32)

    @property
    def hard(self) -> bool:
        """Whether near items are wanted."""
        return self._hard > 0 and len(self._offered) > NEAR

    def refresh(self, vectors: torch.Tensor, rng: np.random.Generator) -> None:
        """Search the near items of those that are offered anew (`near_items`): vectors [n_items, d]. Nothing
        where none are wanted."""
        if not self.hard:
            return
        nearest = near_items(vectors[self._rows_of(vectors)], NEAR, rng).cpu().numpy()
        self._neighbours = nearest if self._all else self._offered[nearest].astype(np.int32)
        weights = self.frequency.of(self._offered) / NEAR
        self._near = np.zeros(len(vectors))
        for column in self._neighbours.T:
            self._near += np.bincount(column, weights, len(vectors))

    @property
    def _all(self) -> bool:
        return len(self._offered) == self._n

    def _rows_of(self, vectors: torch.Tensor) -> slice | torch.Tensor:
        """Which vectors are of offered items: without a copy where all are."""
        return slice(None) if self._all else torch.from_numpy(self._offered).to(vectors.device)
