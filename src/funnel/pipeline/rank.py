"""Train the ranker on what the real retriever returns for the ranker's window, and judge it there."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from funnel.bundle.contents import Contents
from funnel.evaluation import Difference, compute, paired
from funnel.pipeline.prepare import Prepared
from funnel.ranker import Ranker, RankerConfig, TrainingLists, concatenate, training_lists
from funnel.stages import Filter, Rank, source_weights
from funnel.types import Examples, Int32

log = logging.getLogger(__name__)

#: Requests that are retrieved together; bounds memory, not results.
CHUNK = 1024

#: Share of the ranker's window, by user, that stops the trees and decides whether they are used.
HELD_OUT = 0.2


@dataclass(frozen=True)
class RankerFacts:
    """How the ranker came about.

    weights: of the sources in the retrieval order. verdict: NDCG@10 of the ranker's order less that of the
    retrieval order, on the held-out users of the ranker's window; None when there was nothing to train on.
    """

    weights: dict[str, float]
    verdict: Difference | None
    lists: int = 0
    rows: int = 0
    positives: int = 0
    missed: int = 0
    missed_choice: str = "drop"
    trees: int = 0

    def sentences(self) -> list[str]:
        """For the report's notes."""
        shares = ", ".join(f"{name} {weight:.2f}" for name, weight in self.weights.items())
        said = [f"sources weigh, in the retrieval order: {shares}"]
        said.append(
            f"the ranker saw {self.lists:,} lists with {self.rows:,} rows and {self.positives:,} positives; "
            f"{self.missed:,} more were not retrieved ({self.missed_choice}); {self.trees} trees were kept"
        )
        if self.verdict is None:
            said.append("nothing that was taken in the ranker's window was retrieved: there is no ranker")
        else:
            what = "better" if self.verdict.better else "not better"
            said.append(
                f"on held-out users of its own window the ranker is {what} than the retrieval order "
                f"on NDCG@10: {self.verdict.mean:+.4f} [{self.verdict.lo:.4f}, {self.verdict.hi:.4f}]"
            )
        return said


def train_ranker(contents: Contents, prepared: Prepared) -> tuple[Ranker | None, RankerFacts]:
    """A ranker for the candidates that `contents` retrieves, and how it did on held-out users."""
    config = prepared.config
    fitting, held_out = _by_user(prepared.split.ranker, config.seed)
    weights = source_weights(_source_lists(contents, fitting), fitting.targets)
    contents = replace(contents, weights=weights)
    train = _lists(contents, fitting, config.ranker)
    valid = _lists(contents, held_out, config.ranker)
    facts = RankerFacts(
        weights=weights,
        verdict=None,
        lists=len(train),
        rows=len(train.labels),
        positives=train.positives,
        missed=train.missed,
        missed_choice=config.ranker.missed,
    )
    if not len(train) or not len(valid):
        log.warning("no request of the ranker's window was retrieved: the retrieval order is kept")
        return None, facts
    ranker = Ranker.fit(train, valid, config.ranker)
    verdict = _verdict(contents, ranker, held_out, config.seed)
    return ranker, replace(facts, verdict=verdict, trees=ranker.trees)


def _by_user(examples: Examples, seed: int) -> tuple[Examples, Examples]:
    """Examples to fit on, and those of a HELD_OUT share of the users."""
    users = np.unique(examples.requests.users)
    chosen = np.random.default_rng(seed).permutation(users)[: max(1, round(HELD_OUT * len(users)))]
    held_out = np.isin(examples.requests.users, chosen)
    return examples.take(np.flatnonzero(~held_out)), examples.take(np.flatnonzero(held_out))


def chunks(examples: Examples, size: int = CHUNK) -> Iterator[Examples]:
    """The examples in their order, `size` at a time."""
    for start in range(0, len(examples), size):
        yield examples.take(np.arange(start, min(start + size, len(examples))))


def _source_lists(contents: Contents, examples: Examples) -> dict[str, Int32]:
    """The ten best of each source alone."""
    return {
        source.name: np.concatenate([source.find(part.requests, 10)[0] for part in chunks(examples)])
        for source in contents.sources()
    }


def _lists(contents: Contents, examples: Examples, config: RankerConfig) -> TrainingLists:
    """Training lists from the shortlists that the funnel would hand to the ranker."""
    retrieve, shorten = contents.retriever(), Filter(contents.retrieve.k)
    features = contents.candidate_features()
    made = []
    for part in chunks(examples):
        shortlist = shorten(part.requests, retrieve(part.requests))
        made.append(
            training_lists(
                part.requests, shortlist, part.targets, features, config, complete=retrieve.complete
            )
        )
    return concatenate(made)


def _verdict(contents: Contents, ranker: Ranker, held_out: Examples, seed: int) -> Difference:
    """NDCG@10 of the ranked shortlist less that of the shortlist as retrieved, paired by request."""
    retrieve, shorten = contents.retriever(), Filter(contents.retrieve.k)
    rank = Rank(ranker, contents.candidate_features())
    before, after = [], []
    for part in chunks(held_out):
        shortlist = shorten(part.requests, retrieve(part.requests))
        before.append(compute("ndcg@10", shortlist.items, part.targets))
        after.append(compute("ndcg@10", rank(part.requests, shortlist).items, part.targets))
    return paired(np.concatenate(after), np.concatenate(before), clusters=held_out.requests.users, seed=seed)
