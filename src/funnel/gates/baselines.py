"""Is the whole better than its parts: the list that is shown beside each source alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from funnel.bundle.contents import Contents
from funnel.engine import Funnel
from funnel.evaluation import paired
from funnel.evaluation.advice import only_source
from funnel.evaluation.walk import Competitor, one_step, walk
from funnel.gates import quality
from funnel.gates.config import GatesConfig
from funnel.gates.figures import Figures, ndcg
from funnel.gates.findings import Finding
from funnel.recipes import Recipe
from funnel.stages import PopularSource, Retrieve, Rules, Source
from funnel.types import Examples


def beside_sources(
    figures: Figures, contents: Contents, examples: Examples, config: GatesConfig, seed: int
) -> list[Finding]:
    """Fails where one of the bundle's own sources, or what is popular of all time, is better alone: when the
    whole 95% interval of the difference is below −fall × the source's NDCG@k.

    figures: of the bundle on these requests.
    """
    n_items, k, users = len(contents.catalogue.ids), figures.k, examples.requests.users
    steps = walk(
        Recipe(_parts, contents, k),
        examples,
        n_items,
        k,
        timed=False,
    )
    own = _own_order(figures)
    return [_beside(step.name, own, ndcg(step, examples, k), users, config, seed) for step in steps]


def _parts(contents: Contents, k: int) -> list[Competitor]:
    alone = {source.name: source for source in contents.sources()}
    alone["popular of all time"] = PopularSource(contents.statistics)
    return [one_step("baseline", name, _alone(contents, source, k)) for name, source in alone.items()]


def _own_order(figures: Figures) -> NDArray[np.float64]:
    """NDCG@k of the list that is shown; where that is ordered by value, of the ranked one: a source that
    knows of no value must not be better at what people take."""
    by_value = "value" in figures.stages
    return figures.stages["rank"][f"ndcg@{figures.k}"] if by_value else figures.final


def _alone(contents: Contents, source: Source, k: int) -> Funnel:
    """A source alone, under the rules that the list that is shown keeps to."""
    if not contents.rules:
        return Funnel([Retrieve([source], k)])
    return Funnel([Retrieve([source], max(contents.retrieve.k, k)), Rules(contents.ruleset, k)])


def _beside(
    name: str,
    shown: NDArray[np.float64],
    alone: NDArray[np.float64],
    users: NDArray[np.int32],
    config: GatesConfig,
    seed: int,
) -> Finding:
    change = paired(shown, alone, users, seed=seed)
    what = f"{name} alone, and the list that is shown instead"
    finding = quality.fall_beyond_chance("baselines", what, change, alone, config.baseline_fall, change.hi)
    if finding.passed:
        return finding
    advice = f"; {only_source(name)}" if " " not in name else ""
    return finding.model_copy(update={"sentence": finding.sentence + advice})
