"""What a bundle does with a set of requests: every stage's figures, request by request."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from funnel.bundle.contents import Contents
from funnel.engine import Funnel
from funnel.evaluation.catalogue import exposure
from funnel.evaluation.metrics import Float64
from funnel.evaluation.rows import row_values
from funnel.evaluation.walk import Competitor, RowTally, one_step, walk
from funnel.recipes import Recipe
from funnel.stages import PopularSource, Retrieve
from funnel.types import Candidates, Examples, Int32, Int64


@dataclass(frozen=True)
class Figures:
    """stages: for each stage, in walking order, its metrics request by request, float64 [B]: NDCG@k, and for
    all but the last also "recall", of its whole width. shown: how often each item stands in a final list,
    [n_items]. shortlisted: how often among the first `width` that were retrieved, [n_items]. lists: the final
    lists, item rows int32 [B, k], −1 = empty.
    """

    stages: dict[str, dict[str, Float64]]
    shown: Int64
    shortlisted: Int64
    k: int
    width: int
    lists: Int32

    def means(self) -> dict[str, float]:
        """By stage and metric: "rank ndcg@10"."""
        return {
            f"{stage} {metric}": float(values.mean())
            for stage, named in self.stages.items()
            for metric, values in named.items()
        }

    @property
    def final(self) -> Float64:
        """NDCG@k of the list that is shown: float64 [B]."""
        return list(self.stages.values())[-1][f"ndcg@{self.k}"]


def measure(contents: Contents, examples: Examples, k: int) -> Figures:
    """Let the bundle answer; every list is cut at k."""
    n_items, width, funnel = len(contents.catalogue.ids), contents.retrieve.k, contents.funnel(k)
    shortlisted = np.zeros(n_items, dtype=np.int64)

    def count(batch: Examples, numbers: Int64, candidates: Candidates) -> None:
        shortlisted[:] += exposure(candidates.items, width, n_items)

    steps = walk(
        Recipe(_whole, contents, k),
        examples,
        n_items,
        k,
        lists=funnel.names[-1:],
        observers={funnel.names[0]: count},
        timed=False,
    )
    return Figures(
        stages={step.name: _values(step, examples, k, whole=step is not steps[-1]) for step in steps},
        shown=steps[-1].exposure,
        shortlisted=shortlisted,
        k=k,
        width=width,
        lists=steps[-1].all_lists()[:, :k],
    )


def popular(contents: Contents, examples: Examples, k: int) -> Float64:
    """NDCG@k of recommending what is popular, request by request: what a bundle must not fall behind."""
    recipe = Recipe(_popular, contents, k)
    (step,) = walk(recipe, examples, len(contents.catalogue.ids), k, timed=False)
    return ndcg(step, examples, k)


def _whole(contents: Contents, k: int) -> list[Competitor]:
    return [Competitor("stage", contents.funnel(k).trace)]


def _popular(contents: Contents, k: int) -> list[Competitor]:
    return [one_step("stage", "popular", Funnel([Retrieve([PopularSource(contents.statistics)], k)]))]


def ndcg(step: RowTally, examples: Examples, k: int) -> Float64:
    """NDCG@k of one step, request by request: float64 [B]."""
    return _values(step, examples, k, whole=False)[f"ndcg@{k}"]


def _values(step: RowTally, examples: Examples, k: int, *, whole: bool) -> dict[str, Float64]:
    """whole: also the recall of the whole list, however narrow: one that has shrunk has lost what it held."""
    values = row_values(step.all_positions(examples.targets.offsets), [k], step.width)
    names = [f"ndcg@{k}", "recall"] if whole else [f"ndcg@{k}"]
    return {name: np.asarray(values[name]) for name in names}
