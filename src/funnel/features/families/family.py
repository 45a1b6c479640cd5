"""What a family of features is, what it is built from and what it is asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from funnel.features.spec import Spec
from funnel.features.statistics import Statistics
from funnel.types import Candidates, Clock, Features, Float32, Int32, Ragged, Requests


@dataclass(frozen=True, slots=True)
class Known:
    """What does not change from request to request.

    item_features: encoded item columns [n_items, …] with item_specs. item_vectors: [n_items, d] or None.
    shown: the columns of what requests are shown; none where they choose from the catalogue.
    fitted: the encoded item columns that figures over the catalogue are taken from: those that the ranker was
    trained with, also where items have changed since.
    """

    statistics: Statistics
    item_features: Features
    item_specs: Mapping[str, Spec]
    item_vectors: Float32 | None
    user_specs: Mapping[str, Spec]
    fitted: Features
    sources: tuple[str, ...]
    shown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """One batch. newest_first: the recent history, see `funnel.features.recent`; where nothing orders it a
    set, of which no first or last item may be asked for."""

    requests: Requests
    candidates: Candidates
    newest_first: Ragged


@dataclass(frozen=True, slots=True)
class Family:
    """Columns by name, without the family's own, and what computes them.

    compute: float32 [B, K, len(names)]; NaN at empty places and where a value is not known. A row depends
    on its own request only, to the last bit. refresh: takes over what the columns of these item rows say now,
    where something was made of them beforehand.
    """

    names: tuple[str, ...]
    compute: Callable[[Asked], Float32]
    refresh: Callable[[Int32], None] = lambda rows: None


#: Weight of a history item relative to the one after it, where a taste is read from the whole history.
TASTE_DECAY: dict[Clock, float] = {"time": 0.9, "order": 0.9, "none": 1.0}
