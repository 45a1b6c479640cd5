"""What a bundle's funnel is measured against: baselines, exact search, and the true preferences."""

from __future__ import annotations

import numpy as np

from funnel.bundle.contents import Contents
from funnel.data import Dataset
from funnel.engine import Funnel
from funnel.evaluation import Recommend
from funnel.evaluation.ideal import TruthScores
from funnel.stages import CovisitationSource, PopularSource, Retrieve, ShownSource, Source
from funnel.stages.config import RESERVED
from funnel.types import Float32, Requests

#: What other rows are called.
_ROWS = ("as shown", "recent-popular", "co-visitation", "ideal", "exact")


def competing(
    contents: Contents, of_shown: bool, k: int, depth: int
) -> tuple[Funnel, dict[str, Recommend], Recommend]:
    """The funnel, what it is held against, and exact search. of_shown: whether requests bring a list."""
    return contents.funnel(k), _baselines(contents, of_shown, depth), contents.exact(depth)


def _baselines(contents: Contents, of_shown: bool, depth: int) -> dict[str, Recommend]:
    """What each source gives by itself, as deep as the report looks."""
    statistics = contents.statistics
    as_shown: dict[str, Source] = {"as shown": ShownSource()} if of_shown else {}
    sources = {
        **as_shown,
        "popular": PopularSource(statistics),
        "recent-popular": PopularSource(statistics, statistics.recent_window),
        "co-visitation": CovisitationSource(statistics),
    }
    # Each source that no other row shows alone, so that one that is better than the whole is seen.
    shown = {"towers", "covisitation", "popular"}
    taken = {*RESERVED, *contents.rerank.stages, *_ROWS}
    further = {
        f"{source.name} alone" if source.name in taken else source.name: source
        for source in contents.sources()
        if source.name not in shown
    }
    return {name: alone(source, depth) for name, source in (sources | further).items()}


def alone(source: Source, k: int) -> Recommend:
    """A source as a recommender of its own."""
    return Funnel([Retrieve([source], k)])


def truths(data: Dataset) -> tuple[TruthScores | None, TruthScores | None]:
    """True logits and true worth of each item, for requests; None where they are not known."""
    truth = data.truth
    if truth is None:
        return None, None

    def worth(requests: Requests) -> Float32:
        values = truth.values(requests.users, requests.times)
        assert values is not None
        return values

    nobody = np.zeros(0, dtype=np.int32)
    has_money = truth.values(nobody, nobody.astype(np.int64)) is not None
    return lambda requests: truth.scores(requests.users, requests.times), worth if has_money else None
