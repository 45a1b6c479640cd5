"""The stage that orders the shortlist by the learned ranker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from funnel.compiling import plain
from funnel.ranker import FeatureSource, Ranker
from funnel.stages._kernels import filled
from funnel.types import Candidates, Requests


class Rank:
    """Scores every position with the ranker and sorts by it. heads: further trees, whose scores go along.

    Raises: ConfigError when the ranker was trained on other features than these.
    """

    def __init__(
        self,
        ranker: Ranker,
        features: FeatureSource,
        *,
        heads: Mapping[str, Ranker] | None = None,
        threads: int = 1,
        name: str = "rank",
    ) -> None:
        self.name = name
        self._ranker = ranker
        self._features = features
        self._threads = threads
        self._heads = dict(heads or {})
        for trees in (ranker, *self._heads.values()):
            trees.check(features.names)

    def __call__(self, requests: Requests, candidates: Candidates) -> Candidates:
        """The same positions in the ranker's order; scores are its raw scores, beside those of the heads."""
        lengths = filled(*plain(candidates.items))
        if not lengths.any():
            return candidates
        matrix = self._features.matrix(requests, candidates)
        scores = self._ranker.predict_lists(matrix, lengths, threads=self._threads)
        if self._heads:
            of = {
                name: trees.predict_lists(matrix, lengths, threads=self._threads).astype(np.float32)
                for name, trees in self._heads.items()
            }
            candidates = replace(candidates, head_scores=of)
        return candidates.ranked_by(scores.astype(np.float32))

    def skip(self, candidates: Candidates) -> Candidates:
        """The order that they came in."""
        return candidates
