"""The retrieval order: that of all sources merged, or of one source that is better alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from funnel.bundle.contents import Contents
from funnel.evaluation import Difference, compute, paired
from funnel.evaluation.chunks import each_chunk
from funnel.recipes import Recipe
from funnel.stages import Retrieve, source_weights
from funnel.types import Examples, Int32

#: Weight of the other sources where one is better alone: what only they find comes after all that it finds.
_BEHIND = 1e-6


@dataclass(frozen=True)
class Order:
    """How retrieved candidates are ordered.

    weights: of the sources, for `Retrieve`. alone: the source that decides the order; None where all do.
    verdicts: NDCG@10 of each source alone less that of all together, in the ranker's window.
    """

    weights: dict[str, float]
    alone: str | None
    verdicts: dict[str, Difference]

    def sentence(self) -> str:
        """For the report's notes."""
        if self.alone is not None:
            verdict = self.verdicts[self.alone]
            return (
                f"the retrieval order is that of {self.alone} alone: in the ranker's window it is better "
                f"than all sources together on NDCG@10: {verdict.mean:+.4f} "
                f"[{verdict.lo:.4f}, {verdict.hi:.4f}]"
            )
        shares = ", ".join(f"{name} {weight:.2f}" for name, weight in self.weights.items())
        return f"sources weigh, in the retrieval order: {shares}; none is better alone"


def retrieval_order(contents: Contents, examples: Examples, seed: int) -> Order:
    """Weigh each source by its own NDCG@10, unless one alone is better than all together.

    "Better" is the rule that holds for the ranker, too: the whole interval of a paired bootstrap over users
    is above zero.
    """
    lists = {source.name: _ten(contents, source.name, examples) for source in contents.sources()}
    weights = source_weights(lists, examples.targets)
    merged = _ten(replace(contents, weights=weights), None, examples)
    verdicts = _verdicts(lists, merged, examples, seed)
    better = [name for name, verdict in verdicts.items() if verdict.better]
    if not better or len(lists) == 1:
        return Order(weights, None, verdicts)
    alone = max(better, key=lambda name: verdicts[name].mean)
    behind = {name: weight if name == alone else _BEHIND * weight for name, weight in weights.items()}
    return Order(behind, alone, verdicts)


def _verdicts(
    lists: Mapping[str, Int32], merged: Int32, examples: Examples, seed: int
) -> dict[str, Difference]:
    together = compute("ndcg@10", merged, examples.targets)
    users = examples.requests.users
    return {
        name: paired(compute("ndcg@10", items, examples.targets), together, clusters=users, seed=seed)
        for name, items in lists.items()
    }


def _ten(contents: Contents, source: str | None, examples: Examples) -> Int32:
    """The first ten items of each request, of one source or of all: int32 [B, 10]."""
    lists = list(each_chunk(Recipe(_first_ten, contents, source), examples))
    return np.concatenate(
        [np.pad(items, ((0, 0), (0, 10 - items.shape[1])), constant_values=-1) for items in lists]
    )


def _first_ten(contents: Contents, source: str | None) -> Callable[[Examples], Int32]:
    alone = [each for each in contents.sources() if each.name == source]
    retrieve = Retrieve(alone, 10) if alone else contents.retriever()
    return lambda part: retrieve(part.requests).top(10).items
