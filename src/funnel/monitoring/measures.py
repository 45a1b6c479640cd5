"""What is measured of answers, by the bins that a bundle's holdout gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from funnel.bundle.contents import Contents
from funnel.engine import RANK, Step
from funnel.monitoring.edges import Bins, NameBins
from funnel.ranker.calibration import Head
from funnel.types import Candidates, Float32, Int32, Requests

#: Requests of the holdout that bins are made of, and candidates of each.
REQUESTS, CANDIDATES = 400, 8

#: How far an item was moved by re-ranking; and seconds from an answer to its feedback.
MOVED = Bins((-10.0, -3.0, -1.0, 0.0, 1.0, 3.0, 10.0, 30.0))
DELAY = Bins((-3600.0, -60.0, -2.0, 2.0, 5.0, 10.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 600.0, 3600.0))
LENGTH = Bins((0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0))
AGE = Bins((60.0, 600.0, 3600.0, 6 * 3600.0, 86_400.0, 7 * 86_400.0, 30 * 86_400.0, 365 * 86_400.0))


@dataclass(frozen=True)
class Measures:
    """Of one bundle.

    top, spread: of the first candidate's score, and from it to the tenth's. features: by name, of the
    ranker's. context: by column. popularity: for each item its tenth of all events, 0 the most popular: int8
    [n_items]. head: what makes a probability of the ranker's score; None where nothing does. sources: names.
    """

    version: str
    top: Bins
    spread: Bins
    features: Mapping[str, Bins]
    context: Mapping[str, Bins | NameBins]
    popularity: NDArray[np.int8]
    head: Head | None
    sources: tuple[str, ...]

    @classmethod
    def of(
        cls, version: str, contents: Contents, requests: Requests, known: Mapping[str, Sequence[float]]
    ) -> Measures:
        """requests: of the holdout. known: bounds that are kept from earlier bundles, of "feature NAME" and
        "context NAME"."""
        part = requests.take(np.arange(min(len(requests), REQUESTS)))
        scores, features = _measured(contents, part)
        kept = {name: Bins(tuple(bounds)) for name, bounds in known.items()}
        return cls(
            version=version,
            top=Bins.of(scores[:, 0]) if scores.size else Bins((0.0,)),
            spread=Bins.of(spreads(scores)) if scores.size else Bins((0.0,)),
            features={
                name: Bins.of(of) if of_bundle(name) else kept.get(f"feature {name}", Bins.of(of))
                for name, of in features.items()
            },
            context=_context(contents, requests, kept),
            popularity=tenths(contents.users.history.values, len(contents.catalogue.ids)),
            head=_head(contents),
            sources=tuple(source.name for source in contents.sources()),
        )

    def edges(self) -> dict[str, list[float]]:
        """Bounds to be kept, so that later bundles count by the same."""
        of = {f"feature {name}": edges for name, edges in self.features.items() if not of_bundle(name)}
        of |= {f"context {name}": e for name, e in self.context.items() if isinstance(e, Bins)}
        return {name: list(edges.bounds) for name, edges in of.items()}


def of_bundle(feature: str) -> bool:
    """Whether a feature of the ranker is made of what a bundle was trained to: another bundle has other
    values, which say nothing of the world. Its bins are the tenths of each bundle's own holdout, as those of
    scores."""
    return feature.startswith(("source.", "similarity."))


def spreads(scores: Float32) -> Float32:
    """From the first score to the tenth, or the last there is: float32 [B]; NaN where there are not two."""
    some = scores[:, :10]
    last = np.where(np.isfinite(some), some, np.inf).min(axis=1) if some.size else np.empty(0)
    out = np.full(len(scores), np.nan, dtype=np.float32)
    there = np.isfinite(some).sum(axis=1) > 1
    out[there] = some[there, 0] - last[there]
    return out


def in_front(contents: Contents, steps: Sequence[Step]) -> Candidates:
    """The candidates in front of re-ranking, in their order, as the log of answers has them."""
    names = [step.name for step in steps]
    order = ("value", RANK, *reversed(contents.retrieve.stages), "eligible", "filter", "retrieve")
    chosen = next((name for name in order if name in names), names[0])
    return steps[names.index(chosen)].candidates


def in_front_of_ranker(steps: Sequence[Step]) -> Candidates | None:
    """What the ranker is given; None where none ranked."""
    for before, step in pairwise(steps):
        if step.name == RANK:
            return None if step.skipped else before.candidates
    return None


def tenths(events: Int32, n_items: int) -> NDArray[np.int8]:
    """For each item the tenth of all events that it is in, the most popular items first."""
    counts = np.bincount(events, minlength=n_items)[:n_items]
    order = np.argsort(-counts, kind="stable")
    before = np.cumsum(counts[order]) - counts[order]
    out = np.empty(n_items, dtype=np.int8)
    out[order] = np.minimum(10 * before / max(counts.sum(), 1), 9).astype(np.int8)
    return out


def _measured(contents: Contents, requests: Requests) -> tuple[Float32, dict[str, Float32]]:
    """Scores in front of re-ranking, [B, K]; and for each feature its values of some candidates."""
    funnel, scores, rows = contents.funnel(), [], []
    names = contents.candidate_features().names if contents.ranker is not None else []
    for begin in range(0, len(requests), 20):
        part = requests.take(np.arange(begin, min(begin + 20, len(requests))))
        steps = funnel.trace(part)
        scores.append(in_front(contents, steps).scores[:, :10])
        placed = in_front_of_ranker(steps)
        if placed is not None and placed.items.shape[1]:
            matrix = contents.candidate_features().matrix(part, placed)
            step = max(1, placed.items.shape[1] // CANDIDATES)
            rows.append(matrix[:, ::step][placed.filled[:, ::step]])
    whole = np.concatenate(rows) if rows else np.empty((0, len(names)), dtype=np.float32)
    width = max((len(scored[0]) for scored in scores if len(scored)), default=0)
    padded = [np.pad(s, ((0, 0), (0, width - s.shape[1])), constant_values=-np.inf) for s in scores]
    both = np.concatenate(padded) if padded else np.empty((0, 0), dtype=np.float32)
    return both, {name: whole[:, number] for number, name in enumerate(names)}


def _context(contents: Contents, requests: Requests, kept: Mapping[str, Bins]) -> dict[str, Bins | NameBins]:
    if contents.context is None:
        return {}
    columns: dict[str, Bins | NameBins] = {}
    for name, spec in contents.context.table.specs.items():
        if name in contents.context.numbers:
            values = requests.context_numbers.get(name, np.empty(0))
            columns[name] = kept.get(f"context {name}", Bins.of(np.asarray(values)))
        elif spec.kind == "category":
            columns[name] = NameBins.of(contents.context.values(name))
        else:  # how many, or whether there are any
            columns[name] = LENGTH
    return columns


def _head(contents: Contents) -> Head | None:
    """Of the first kind of event, where its scores are the ranker's own."""
    own = [head for name, head in contents.heads.items() if name not in contents.head_trees]
    return own[0] if own else None
