"""The funnels that are made of what a bundle holds."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace

from funnel.bundle.components import Components
from funnel.durations import Durations
from funnel.engine import Funnel
from funnel.errors import BundleError
from funnel.index import ExactIndex
from funnel.policies import Draw, Drawing
from funnel.ranker import Ranker
from funnel.stages import (
    VECTOR_WEIGHT,
    ByValue,
    CovisitationSource,
    Eligible,
    Filter,
    Given,
    ItemQueries,
    Parts,
    Rank,
    RerankConfig,
    Retrieve,
    Rules,
    Source,
    Stage,
    Top,
    TowerSource,
    guard,
)


@dataclass(frozen=True)
class Contents(Components):
    """All parts of a bundle that an answer needs, and the funnels that they make."""

    def retriever(self, k: int | None = None) -> Retrieve:
        """The first stage: all sources, merged; k positions (default: the config's), or as many as items."""
        k = min(k or self.retrieve.k, len(self.catalogue.ids))
        return Retrieve(self.sources(), k, self.weights, unseen=self.statistics.unseen)

    def before_ranking(self, k: int | None = None) -> list[Stage]:
        """What hands the ranker its shortlist, in training as when it serves: retrieval, the filter, and the
        stages of plugins between them and the ranker. k: places; default the config's."""
        shortlist, options = k or self.retrieve.k, self.retrieve.options
        stages = [guard.stage(name, self.parts, options.get(name, {})) for name in self.retrieve.stages]
        between = [stage for stage in stages if stage is not None]
        return [self.retriever(k), Filter(shortlist), *between]

    def funnel(self, k: int | None = None, durations: Durations | None = None) -> Funnel:
        """Retrieve, filter, rank unless the retrieval order is kept, re-rank to k (default: the config's).

        durations: of stages so far, see `Funnel`.
        """
        k = k or self.rerank.k
        return Funnel([*self.until_reranking(k), *self.behind_ranking(k)], durations=durations)

    def until_reranking(self, k: int) -> list[Stage]:
        """What gives the order that diversity and rules, or draws, start from: for lists of k items."""
        stages = self.before_ranking(max(self.retrieve.k, k))
        if self.rules:
            stages.append(Eligible(self.ruleset, self.retriever(max(self.retrieve.k, k)), k))
        if self.ranker is not None:
            stages.append(self.rank_stage(self.ranker))
        if self.expected_value is not None:
            stages.append(ByValue(self.expected_value))
        return stages

    def drawn(self, k: int | None = None, durations: Durations | None = None) -> Funnel:
        """The same as `funnel`, with lists that are drawn. Raises: BundleError where the bundle draws
        none."""
        if self.explore is None:
            raise BundleError("this bundle draws no lists: its config has no [explore]")
        k = k or self.rerank.k
        return Funnel([*self.until_reranking(k), *self.drawing(self.explore, k)], durations=durations)

    def drawing(self, drawing: Drawing, k: int) -> list[Stage]:
        """The stages of plugins behind the ranker, and the one that draws in place of those behind them."""
        everything = self.rerank.model_copy(update={"k": len(self.catalogue.ids)})
        of_plugins = [name for name in self.rerank.stages if name != "diversify"]
        stages = self._built(of_plugins, replace(self.parts, rerank=everything))
        rerank = self.rerank if "diversify" in self.rerank.stages else RerankConfig(pool=self.rerank.pool)
        ruleset = self.ruleset if self.rules else None
        greedy = self.behind_ranking(k)[len(stages) :]
        return [*stages, Draw(self.vectors, rerank, drawing, k, greedy=greedy, ruleset=ruleset)]

    def behind_ranking(self, k: int) -> list[Stage]:
        """What makes the list of k items of what was ranked."""
        if self.rules:  # which choose k of all, in the order that the stages before them give
            return [*self._reranking(len(self.catalogue.ids), self.rerank.pool), Rules(self.ruleset, k)]
        return self._reranking(k, max(self.rerank.pool, k))

    def ranking(self, k: int | None = None, durations: Durations | None = None) -> Funnel:
        """What ranks a list that the request brings (`Requests.shown`) and keeps all of it: its items placed
        as the ranker learned, the stages of plugins between, the ranker. Rules choose from a catalogue and
        have no part. k: re-rank to k as well."""
        stages = self.before_ranking()
        first = stages[0] if self.shown else Given(self.retriever(), self.retrieve.k)
        stages = [first, *stages[2:]]
        if self.ranker is not None:
            stages.append(self.rank_stage(self.ranker))
        if self.expected_value is not None:
            stages.append(ByValue(self.expected_value))
        return Funnel(
            [*stages, *([] if k is None else self._reranking(k, max(self.rerank.pool, k)))],
            durations=durations,
        )

    def rank_stage(self, ranker: Ranker) -> Rank:
        """What scores candidates: by the ranker, and by the trees of its heads."""
        return Rank(ranker, self.candidate_features(), heads=self.head_trees)

    def placing(self, ranker: Ranker | None = None) -> list[Stage]:
        """What makes candidates of the items of a given list, as the ranker gets them when it serves; and the
        ranker, where one is given."""
        stages = [Given(self.retriever(), self.retrieve.k), *self.before_ranking()[2:]]
        return stages if ranker is None else [*stages, self.rank_stage(ranker)]

    def neighbours(self, k: int, durations: Durations | None = None) -> Funnel:
        """What finds the k items nearest to the newest of a request's history: by co-visitation with all of
        it first, then by that item's vector. The ranker, which knows what a user wants next, has no part."""
        towers = TowerSource(ItemQueries(self.vectors), self.index)
        sources: list[Source] = [CovisitationSource(self.statistics), towers]
        wanted = min(max(k, self.retrieve.k), len(self.catalogue.ids))
        retrieve = Retrieve(sources, wanted, {towers.name: VECTOR_WEIGHT})
        return Funnel([retrieve, Filter(k)], durations=durations)

    def _reranking(self, k: int, pool: int) -> list[Stage]:
        """The stages behind the ranker, of which the last leaves k items at most."""
        rerank = self.rerank.model_copy(update={"k": k, "pool": pool})
        parts = replace(self.parts, rerank=rerank)
        stages = self._built(rerank.stages, parts)
        return stages if rerank.stages[-1] == "diversify" else [*stages, Top(k)]

    def _built(self, names: Iterable[str], parts: Parts) -> list[Stage]:
        """Stages behind the ranker, by name."""
        built = [guard.stage(name, parts, self.rerank.options.get(name, {})) for name in names]
        return [stage for stage in built if stage is not None]

    def exact(self, k: int) -> Funnel:
        """Every item scored with the towers: the reference that approximate search is held against."""
        index, threads = ExactIndex(self.vectors), os.cpu_count() or 1  # used offline only
        return Funnel([Retrieve([TowerSource(self.queries, index, threads=threads)], k)])
