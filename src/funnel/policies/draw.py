"""The stage that draws the list that is shown, in place of the greedy stages behind the ranker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from funnel.features.arrays import frozen
from funnel.policies.best import best_list
from funnel.policies.config import Drawing
from funnel.policies.lists import columns_of, interleaved
from funnel.policies.scoring import DPP, MMR, PLAIN
from funnel.policies.walk import Chance, drawn_each, drawn_under_rules
from funnel.rules import Ruleset
from funnel.stages.config import RerankConfig
from funnel.stages.stage import Stage, positive
from funnel.types import Candidates, Float32, Float64, Int32, Int64, Requests, RulesOutcome
from funnel.vectors import ItemVectors

#: Of candidates that are all of one tier.
_NO_TIERS = frozen(np.zeros((0, 0), dtype=np.int32))

#: The columns of lists that are drawn from the first position to the last.
_NONE_GIVEN = np.zeros((0, 0), dtype=np.int64)


class Draw:
    """A list of k items, drawn position by position, see `funnel.policies.walk`: each item by what it is
    worth given those above, and only where the rules let it stand.

    vectors: [n_items, d]. rerank: whose kind, trade_off and pool say what an item is worth. greedy:
    the stages whose place this takes, for requests with a negative seed or none, whose lists are not drawn.
    ruleset: None where there are no rules; boosts change the scores that diversity starts from. A drawn list
    costs each rule what the best list costs it. searches: how many it took so far to know who may stand.
    """

    def __init__(
        self, vectors: ItemVectors | Float32, rerank: RerankConfig, drawing: Drawing, k: int, *,
        greedy: Sequence[Stage], ruleset: Ruleset | None = None, name: str = "explore",
    ) -> None:  # fmt: skip
        self.name, self.searches = name, 0
        self._vectors, self._rules = ItemVectors.of(vectors).stored, ruleset
        self._greedy = tuple(greedy)
        self._kind = PLAIN if rerank.trade_off == 1 else {"mmr": MMR, "dpp": DPP}[rerank.kind]
        self._trade_off = float(rerank.trade_off)
        self._k = positive(k, f"k of {name}")
        self._pool = max(rerank.pool, self._k)
        self._chance = Chance(float(drawing.temperature), float(drawing.epsilon), int(drawing.top))

    def __call__(self, requests: Requests, candidates: Candidates) -> Candidates:
        """The lists, with `Candidates.propensities` where any is drawn. Scores of a drawn list are the items'
        own, so that they need not fall."""
        if requests.seeds is None:
            return self._not_drawn(requests, candidates)
        drawn = requests.seeds >= 0
        count = np.count_nonzero(drawn)
        if count == len(drawn):
            return self._drawn(requests, candidates)
        if not count:
            return self._not_drawn(requests, candidates)
        some, others = np.flatnonzero(drawn), np.flatnonzero(~drawn)
        return interleaved(
            self._drawn(requests.take(some), candidates.take(some)), some,
            self._not_drawn(requests.take(others), candidates.take(others)), others,
        )  # fmt: skip

    def _not_drawn(self, requests: Requests, candidates: Candidates) -> Candidates:
        for stage in self._greedy:
            candidates = stage(requests, candidates)
        return candidates

    def chances(self, requests: Requests, candidates: Candidates, lists: Int32) -> Float64:
        """The chance that each position of given lists has of its item, given the items above: float64 [B,
        k]; 0 from the first on that could not have it; 1 behind the end of a list, and 0 throughout one
        that is not as long as it would be.

        lists: item rows, int32 [B, k], −1 behind the end. Requests need no seeds.
        """
        columns, out = columns_of(candidates, lists), np.zeros(lists.shape)
        whole = np.flatnonzero(((lists < 0) | (columns >= 0)).all(axis=1))
        width = min(self._k, candidates.items.shape[1], lists.shape[1])
        if not len(whole):
            return out
        given = np.full((len(whole), min(self._k, candidates.items.shape[1])), -1, dtype=np.int64)
        given[:, :width] = columns[whole, :width]
        seeded = replace(requests.take(whole), seeds=np.zeros(len(whole), dtype=np.int64))
        again = self._drawn(seeded, candidates.take(whole), given)
        assert again.propensities is not None
        ended = again.filled.sum(axis=1) == (lists[whole] >= 0).sum(axis=1)
        out[whole[ended]] = 1.0
        out[whole[ended], :width] = again.propensities[ended, :width]
        return out

    def _drawn(self, requests: Requests, candidates: Candidates, given: Int64 | None = None) -> Candidates:
        """given: columns of lists whose chances are wanted, [B, k]; −1 behind their ends."""
        assert requests.seeds is not None
        shape = (len(candidates), min(self._k, candidates.items.shape[1]))
        if self._rules is None:
            tiers = _NO_TIERS if candidates.tiers is None else frozen(candidates.tiers, np.int32)
            columns, propensities = drawn_each(
                self._kind, self._trade_off, self._vectors, frozen(candidates.items),
                frozen(candidates.scores), tiers, self._pool, shape[1], self._chance,
                frozen(requests.seeds), _NONE_GIVEN if given is None else given,
            )  # fmt: skip
            return candidates.reorder(columns, propensities=propensities)
        columns = np.full(shape, -1, dtype=np.int64) if given is None else given.copy()
        propensities = np.ones(shape)
        scores, outcomes = np.full(shape, -np.inf, dtype=np.float32), []
        for b in range(len(candidates)):
            into = columns[b], propensities[b], scores[b]
            outcomes.append(self._under_rules(requests, candidates, b, *into))
        return candidates.reorder(columns, scores, outcomes=tuple(outcomes), propensities=propensities)

    def _under_rules(
        self, requests: Requests, candidates: Candidates, b: int, columns: Int64, propensities: Float64,
        scores: Float32,
    ) -> RulesOutcome:  # fmt: skip
        """One list into columns, propensities and scores [k]; what the rules did to it."""
        assert self._rules is not None
        assert requests.seeds is not None
        seeds = frozen(requests.seeds)
        best = best_list(self._rules, candidates, b, self._k, requests.occasion)
        n, pool = len(best.solved.chosen), min(self._pool, len(best.rows))
        chosen, chances = best.columns(columns[:n]), np.ones(n)
        if best.solved.problem is None:
            (chosen,), (chances,) = drawn_each(
                self._kind, self._trade_off, self._vectors, best.rows[None], best.scores[None],
                best.tiers[None], pool, n, self._chance, seeds[b : b + 1], chosen[None],
            )  # fmt: skip
        else:
            self.searches += drawn_under_rules(
                self._kind, self._trade_off, self._vectors, best.rows, best.scores, best.tiers, pool,
                best.solved.problem, self._rules.layout.n_teams, best.solved.costs,
                best.solved.chosen.astype(np.int32), self._chance, int(seeds[b]), chosen, chances,
            )  # fmt: skip
        columns[n:] = -1
        columns[:n], propensities[:n] = best.boosted.order[chosen], chances
        scores[:n] = best.scores[chosen]
        return self._rules.outcome(candidates.items[b, : len(best.rows)], best.boosted, best.solved, chosen)
