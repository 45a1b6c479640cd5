"""Training lists: the candidates that were retrieved for a window, labelled by what the user took.

The ranker is trained on the same kind of candidates that it has to order when it serves, so that scores have
the same distribution in training and serving.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from funnel.errors import DataError
from funnel.ranker.config import RankerConfig
from funnel.ranker.membership import contains
from funnel.ranker.sampling import append, kept_negatives, missed_targets
from funnel.types import Bool, Candidates, Float32, Int64, Ragged, Requests

logger = logging.getLogger(__name__)

#: Requests whose features are computed at a time: bounds the padded [B, K, F] block.
CHUNK = 512


class FeatureSource(Protocol):
    """Computes features of candidates, as `funnel.features.CandidateFeatures` does."""

    @property
    def names(self) -> Sequence[str]:
        """The F columns, in order."""

    def matrix(self, requests: Requests, candidates: Candidates) -> Float32:
        """float32 [B, K, F]; NaN = missing."""


@dataclass(frozen=True, slots=True)
class TrainingLists:
    """Training lists one after another, in the form that LightGBM takes.

    matrix: float32 [N, F]. labels: float32 [N], 0 = not taken; grades where the data has them.
    sizes: int64 [L], rows of each list; their sum is N.
    names: the F feature names.
    weights: float32 [N], how many rows of the whole list each row stands for; default 1.
    importance: float32 [L], how much each list counts in what is learned; default 1.
    followed: bool [L], whether a list's NDCG says how many trees to keep; default all.
    outcomes: by kind of event, whether it took the row: bool [N]; empty where there are no kinds.
    missed: positives that retrieval did not return (appended or not, see RankerConfig.missed).
    without_positive: lists that were dropped because nothing in them was taken.
    """

    matrix: Float32
    labels: Float32
    sizes: Int64
    names: tuple[str, ...]
    missed: int = 0
    without_positive: int = 0
    weights: Float32 = field(default_factory=lambda: np.empty(0, dtype=np.float32))
    importance: Float32 = field(default_factory=lambda: np.empty(0, dtype=np.float32))
    followed: Bool = field(default_factory=lambda: np.empty(0, dtype=np.bool_))
    outcomes: Mapping[str, Bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.weights) == 0:
            object.__setattr__(self, "weights", np.ones(len(self.labels), dtype=np.float32))
        if len(self.importance) == 0:
            object.__setattr__(self, "importance", np.ones(len(self.sizes), dtype=np.float32))
        if len(self.followed) == 0:
            object.__setattr__(self, "followed", np.ones(len(self.sizes), dtype=np.bool_))
        if self.matrix.shape != (len(self.labels), len(self.names)) or self.sizes.sum() != len(self.labels):
            raise DataError(
                f"training lists do not fit together: matrix {self.matrix.shape}, {len(self.labels)} labels, "
                f"{len(self.names)} names, sizes that sum to {int(self.sizes.sum())}"
            )

    def __len__(self) -> int:
        return len(self.sizes)

    def some(self, n: int, seed: int) -> TrainingLists:
        """At most n of the lists, drawn by the seed, in the same order; counts stay those of all."""
        if len(self) <= n:
            return self
        chosen = np.zeros(len(self), dtype=np.bool_)
        chosen[np.random.default_rng(seed).choice(len(self), n, replace=False)] = True
        return self.take(chosen)

    def take(self, chosen: Bool) -> TrainingLists:
        """The lists of a mask: bool [L]; counts stay those of all."""
        rows = np.repeat(chosen, self.sizes)
        return replace(
            self,
            matrix=self.matrix[rows],
            labels=self.labels[rows],
            sizes=self.sizes[chosen],
            weights=self.weights[rows],
            importance=self.importance[chosen],
            followed=self.followed[chosen],
            outcomes={name: of[rows] for name, of in self.outcomes.items()},
        )

    @property
    def positives(self) -> int:
        """Rows with a label above zero."""
        return int((self.labels > 0).sum())


def training_lists(
    requests: Requests,
    candidates: Candidates,
    targets: Ragged,
    features: FeatureSource,
    config: RankerConfig,
    *,
    complete: Callable[[Requests, Candidates], Candidates] | None = None,
    kinds: Mapping[str, Ragged] | None = None,
) -> TrainingLists:
    """One list for each request that has a positive: its positives and at most `config.negatives` others,
    weighted so that they stand for all of them.

    candidates: in retrieval order, as the ranker gets them when it serves. targets: the item rows that were
    taken, a list a request. complete: computes the source scores of an item that no source returned
    (`Retrieve.complete`: the towers' exact score); used with missed="append" only. No source ranked an
    appended row, which never happens when serving: a ranker may learn that such a row is always a positive.
    Therefore "drop" is the default. kinds: by kind of event, the targets that were taken by one.
    Raises: DataError where the numbers of requests and lists differ.
    """
    if not len(requests) == len(candidates) == len(targets):
        raise DataError(
            f"{len(requests)} requests, {len(candidates)} candidate lists and {len(targets)} target lists: "
            "one list each a request is needed"
        )
    missed = missed_targets(targets, candidates)
    lists = candidates
    if config.missed == "append":
        lists = append(candidates, missed)
        lists = complete(requests, lists) if complete else lists
    taken = contains(targets, lists.items)
    useful = np.flatnonzero(taken.any(axis=1))
    weights = taken + kept_negatives(lists.filled & ~taken, config.negatives, config.seed)
    came = {name: contains(of, lists.items) for name, of in (kinds or {}).items()}
    training = replace(
        _in_chunks(features, requests, lists, taken, weights, came, useful),
        missed=len(missed.values),
        without_positive=len(requests) - len(useful),
    )
    _log(training, config)
    return training


def _in_chunks(
    features: FeatureSource,
    requests: Requests,
    lists: Candidates,
    taken: Bool,
    weights: Float32,
    came: Mapping[str, Bool],
    useful: Int64,
) -> TrainingLists:
    """The rows of the useful lists, of so many requests at once that their features need little memory."""
    parts = np.split(useful, range(CHUNK, len(useful), CHUNK))
    return concatenate(
        [
            _rows(
                features,
                requests.take(part),
                lists.take(part),
                taken[part],
                weights[part],
                {name: of[part] for name, of in came.items()},
            )
            for part in parts
        ]
    )


def _log(training: TrainingLists, config: RankerConfig) -> None:
    logger.info(
        "%d lists, %d rows, %d positives; %d missed (%s); %d lists without a positive dropped",
        len(training), len(training.labels), training.positives,
        training.missed, config.missed, training.without_positive,
    )  # fmt: skip


def concatenate(parts: Sequence[TrainingLists]) -> TrainingLists:
    """The lists of several batches as one, with the sums of their counts, and the outcomes that all have.

    Raises: DataError for no parts, or parts with different features.
    """
    if len({part.names for part in parts}) != 1:
        raise DataError("only training lists with the same features, and at least one, can be put together")
    return TrainingLists(
        matrix=np.concatenate([part.matrix for part in parts]),
        labels=np.concatenate([part.labels for part in parts]),
        sizes=np.concatenate([part.sizes for part in parts]),
        names=parts[0].names,
        weights=np.concatenate([part.weights for part in parts]),
        importance=np.concatenate([part.importance for part in parts]),
        followed=np.concatenate([part.followed for part in parts]),
        outcomes={
            name: np.concatenate([part.outcomes[name] for part in parts])
            for name in parts[0].outcomes
            if all(name in part.outcomes for part in parts)
        },
        missed=sum(part.missed for part in parts),
        without_positive=sum(part.without_positive for part in parts),
    )


def _rows(
    features: FeatureSource,
    requests: Requests,
    candidates: Candidates,
    taken: Bool,
    weights: Float32,
    came: Mapping[str, Bool],
) -> TrainingLists:
    """Features and labels of the candidates that are kept: those of weight above 0.

    Features are computed for whole lists first, since a feature may depend on the other candidates of the
    list, and must see the same ones as when it serves.
    """
    kept = weights > 0
    return TrainingLists(
        matrix=features.matrix(requests, candidates)[kept],
        labels=taken[kept].astype(np.float32),
        sizes=kept.sum(axis=1),
        names=tuple(features.names),
        weights=weights[kept],
        outcomes={name: of[kept] for name, of in came.items()},
    )
