"""The first stage: the union of all sources, in one order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from funnel.compiling import plain
from funnel.errors import ConfigError
from funnel.order import best
from funnel.ranker import contains
from funnel.stages._kernels import merge, unranked
from funnel.stages.placing import behind_all, copy_retrieved, ranks_among, retrieval_score
from funnel.stages.sources import Retrieved, Source, excluded
from funnel.stages.stage import positive
from funnel.stages.towers import TowerSource
from funnel.types import Bool, Candidates, Float32, Int32, Int64, Ragged, Requests, Shown

#: How much the sources that go by events count as agreeing about an item without one, from not at all to as
#: the others say. On MovieLens latest-small, NDCG@10 of the retrieval order, of all targets and of cold ones:
#: not at all .0539 and .0002, by a third .0559 and .0158, by three fifths .0566 and .0286, wholly .0540 and
#: .0370.
AGREED = 0.5

#: So many times at most what is said of an item without an event counts: a source that weighs next to nothing
#: beside others does not speak for them.
MOST_AGREED = 10.0


class Retrieve:
    """The union of the k items that each of S sources finds: at most S · k positions.

    The retrieval order is weighted reciprocal rank fusion, Σ weight / (constant + rank) over the sources that
    returned the item, ranks from 1 (Cormack, Clarke, Büttcher: Reciprocal rank fusion outperforms Condorcet
    and individual rank learning methods, SIGIR 2009; theirs is weight 1, constant 60). Each source's score
    and rank are kept; the towers' exact score is filled in for every item.

    weights: of each source by name, at least 0; a source that is not named weighs 1. See `source_weights`.
    unseen: which items [N] had no event before times [N]. A source that goes by events knows nothing of such
    an item, which is no evidence against it: what the other sources give it counts for those too, by half, as
    if they agreed every other time. Without it such items come behind all that several sources find.

    Raises: ConfigError for no source, two of one name, k < 1, or a weight that is negative, not a number or
    of no source.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        k: int,
        weights: Mapping[str, float] | None = None,
        *,
        unseen: Callable[[Int32, Int64], Bool] | None = None,
        constant: float = 60.0,
        name: str = "retrieve",
    ) -> None:
        self.name = name
        self.sources = tuple(source.name for source in sources)
        self._sources = tuple(sources)
        self._k = positive(k, f"k of {name}")
        if not sources or len(set(self.sources)) < len(sources):
            raise ConfigError(
                f"{name}: sources are {list(self.sources)}; at least one is needed, each name once"
            )
        unknown = set(weights or {}) - set(self.sources)
        if unknown:
            raise ConfigError(f"{name}: weights for {sorted(unknown)}; the sources are {list(self.sources)}")
        values = np.array([(weights or {}).get(source, 1.0) for source in self.sources])
        if not (np.isfinite(values).all() and (values >= 0).all()):
            raise ConfigError(f"{name}: weights are {values.tolist()}; each must be a number of at least 0")
        self._weights, self._constant = values, constant
        self._towers = {
            number: source for number, source in enumerate(sources) if isinstance(source, TowerSource)
        }
        self._by_events = np.array([getattr(source, "by_events", False) for source in sources])
        self._unseen = unseen if self._by_events.any() else None
        self._agreed = _agreed(values, self._by_events)
        self._shares = (values[:, None] / (constant + np.arange(1, self._k + 1))).astype(np.float32)

    def __call__(self, requests: Requests, candidates: Candidates | None = None) -> Candidates:
        """Candidates for the requests; what came in is not looked at, for this is where a funnel starts.

        Where the requests bring the lists that were shown, these items and not what the sources find, each
        scored by every source and in the order that the sources give together.
        """
        if requests.shown is not None:
            return self._among(requests, requests.shown)
        return self._retrieved(requests)[0]

    def _retrieved(self, requests: Requests) -> tuple[Candidates, dict[int, Float32]]:
        """What the sources find, merged, and the requests' vectors by the number of the source that has
        them."""
        shape = len(self._sources), len(requests.users), self._k
        rows, scores = np.empty(shape, dtype=np.int32), np.empty(shape, dtype=np.float32)
        queries = {number: towers.encode(requests) for number, towers in self._towers.items()}
        for number, source in enumerate(self._sources):
            if number in queries:
                result = self._towers[number].search(requests, queries[number], self._k)
            else:
                result = source.find(requests, self._k)
            rows[number], scores[number] = result
        merged = self._merge(rows, scores, self._shares)
        self._agree(requests, merged)
        for number, vectors in queries.items():
            self._towers[number].fill(vectors, merged, number)
        return merged.ranked_by(merged.scores), queries

    def positions(self, requests: Requests, items: Int32) -> tuple[Candidates, Candidates]:
        """What this stage finds, and given items, each with what retrieval would have said of it beside that.

        items: int32 [B, K], −1 is none. An item that a source did not find, since it is excluded or beyond
        the source's k, has the rank that its score gives it among those found, and none where k are ahead of
        it. So an item that was found has its own scores, ranks and fused score, and no item's depend on the
        other items given. What no source has a rank for comes last, below 0, in the order that the sources
        give it together.
        """
        retrieved, queries = self._retrieved(requests)
        shape = (*items.shape, len(self._sources))
        placed = Candidates(
            items=items,
            scores=np.zeros(items.shape, dtype=np.float32),
            sources=self.sources,
            source_scores=np.full(shape, np.nan, dtype=np.float32),
            source_ranks=np.full(shape, -1, dtype=np.int32),
        )
        scores = np.stack(
            [
                self._towers[number].dots(queries[number], items)
                if number in queries
                else retrieval_score(source, requests, items)
                for number, source in enumerate(self._sources)
            ]
        )
        for number in range(len(self._sources)):
            ranks = placed.source_ranks[..., number] = ranks_among(
                retrieved, number, items, scores[number], self._k
            )
            known = items >= 0 if number in queries else ranks >= 0
            placed.source_scores[..., number] = np.where(known, scores[number], np.nan)
            placed.scores[:] += np.where(ranks >= 0, self._shares[number, ranks], np.float32(0))
        self._agree(requests, placed)
        nowhere = np.where((placed.source_ranks < 0).all(axis=2), items, np.int32(-1))
        behind = behind_all(nowhere, scores, self._weights, self._constant + self._k + 1)
        np.copyto(placed.scores, behind, where=nowhere >= 0)
        copy_retrieved(retrieved, placed)
        return retrieved, placed.ranked_by(placed.scores)

    def complete(self, requests: Requests, candidates: Candidates) -> Candidates:
        """The same candidates with the towers' score at every item, also at those that no source returned."""
        filled = replace(candidates, source_scores=candidates.source_scores.copy())
        for number, towers in self._towers.items():
            towers.fill(towers.encode(requests), filled, number)
        return filled

    def _among(self, requests: Requests, shown: Shown) -> Candidates:
        """The items that are shown, as if each source had returned them in its own order."""
        items = shown.items.last(max(1, int(shown.items.lengths.max(initial=0))))
        items = np.where(excluded(requests, items), np.int32(-1), items)
        retrieved: list[Retrieved] = []
        for source in self._sources:
            scores = source.score(requests, items)
            retrieved.append(best(np.where(scores > -np.inf, items, np.int32(-1)), scores, items.shape[1]))
        # In the order shown and without a weight, so that what no source knows is there too.
        retrieved.append((items, np.zeros(items.shape, dtype=np.float32)))
        k, n = items.shape[1], len(self.sources)
        ranks = self._constant + np.arange(1, k + 1)
        shares = np.append(self._weights, 0.0)[:, None] / ranks
        rows, of_rows = (np.stack(part) for part in zip(*retrieved, strict=True))
        merged = self._merge(rows, of_rows, shares.astype(np.float32))
        kept = replace(
            merged, source_scores=merged.source_scores[..., :n], source_ranks=merged.source_ranks[..., :n]
        )
        return kept.ranked_by(kept.scores)

    def _merge(self, rows: Int32, scores: Float32, shares: Float32) -> Candidates:
        """Every retrieved item, with the score and rank that each source gave it; not ordered yet.

        rows, scores: of each source, [S, B, k].
        """
        items, fused, source_scores, source_ranks = merge(rows, scores, shares)
        return Candidates(items, fused, self.sources, source_scores, source_ranks)

    def _agree(self, requests: Requests, candidates: Candidates) -> None:
        """Write the fused scores of items without an event into fresh candidates."""
        if self._unseen is None:
            return
        lists = plain(candidates.items, candidates.source_ranks, requests.times)
        at, items, times = unranked(*lists, self._by_events)
        scores = candidates.scores.reshape(-1)  # fresh ones are in one piece, so that this is no copy
        scores[at[self._unseen(items, times)]] *= self._agreed


def _agreed(weights: NDArray[np.float64], by_events: NDArray[np.bool_]) -> np.float32:
    """What the shares of sources that do not go by events are multiplied with to count for the others."""
    known = weights[~by_events].sum()
    if not known > 0:
        return np.float32(1.0)
    return np.float32(1 + AGREED * (min(weights.sum() / known, MOST_AGREED) - 1))


def source_weights(lists: Mapping[str, Int32], targets: Ragged, k: int = 10) -> dict[str, float]:
    """Weights for `Retrieve`: each source's NDCG@k divided by the best one's.

    lists: what each source alone returned, int32 [B, K], best first. targets: what was taken, a list a
    request.
    A source that finds nothing weighs 0; where no source finds anything, all weigh 1.
    """
    discounts = 1 / np.log2(np.arange(2, k + 2))
    lengths = targets.lengths
    ideal = np.cumsum(discounts)[np.clip(lengths, 1, k) - 1]
    quality = {}
    for name, items in lists.items():
        gains = contains(targets, items[:, :k]) @ discounts[: items.shape[1]]
        quality[name] = float((gains / ideal)[lengths > 0].sum())
    top = max(quality.values(), default=0.0)
    return {name: value / top if top > 0 else 1.0 for name, value in quality.items()}
