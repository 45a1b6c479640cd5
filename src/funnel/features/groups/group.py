"""What a feature group is, what it is fitted on, and the batch that it computes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from funnel.features.click_rates import ClickRates
from funnel.features.rates import Rates
from funnel.features.spec import Spec
from funnel.features.statistics import Statistics
from funnel.types import Candidates, Clock, EventKinds, Features, Float32, Int32, Lists, Ragged, Requests
from funnel.vectors import ItemVectors


@dataclass(frozen=True, slots=True)
class FittedContext:
    """What a feature group is built from: all that is the same for every request.

    statistics: counts and neighbour lists. item_features: encoded item columns [n_items, …], whose forms are
    item_specs. item_vectors: [n_items, d], rows read as float32, or None. user_specs: the forms of user
    columns. fitted: the encoded item columns as the ranker was trained with them, also where items have
    changed since; figures over the whole catalogue are taken from these. sources: names of those whose scores
    are features. shown: columns of the lists that requests choose from; none where they choose from the
    catalogue. moment_specs: the forms of what is known at the moment of a request. rates: of its categories,
    by column. kinds: of events; None where they are of one. click_rates: of what was shown; None where
    nothing was.
    """

    statistics: Statistics
    item_features: Features
    item_specs: Mapping[str, Spec]
    item_vectors: ItemVectors | None
    user_specs: Mapping[str, Spec]
    fitted: Features
    sources: tuple[str, ...]
    shown: tuple[str, ...] = ()
    moment_specs: Mapping[str, Spec] = field(default_factory=dict)
    rates: Mapping[str, Rates] = field(default_factory=dict)
    kinds: EventKinds | None = None
    click_rates: ClickRates | None = None


@dataclass(frozen=True, slots=True)
class FeatureBatch:
    """The requests and candidates that features are computed for.

    items: the candidates' items, in C order. newest: each request's recent history, newest first, see
    `funnel.features.recent`; where nothing orders the events it is a set, whose first or last item means
    nothing.
    """

    requests: Requests
    candidates: Candidates
    items: Int32
    newest: Lists

    @property
    def newest_first(self) -> Ragged:
        """The recent histories as lists that can be looked at one by one."""
        return Ragged(*self.newest)


@dataclass(frozen=True, slots=True)
class FeatureGroup:
    """Columns for every candidate, and what computes them.

    names: of the columns, without the group's own name in front. compute: from a batch of B requests with K
    candidates each to float32 [B, K, len(names)], NaN at empty positions and where a value is not known. A
    row depends on its own request only, to the last bit. refresh: called with item rows whose columns were
    changed in place, where something was derived from them beforehand.
    """

    names: tuple[str, ...]
    compute: Callable[[FeatureBatch], Float32]
    refresh: Callable[[Int32], None] = lambda rows: None


#: Weight of a history item relative to the one after it, where a taste is read from the whole history.
TASTE_DECAY: dict[Clock, float] = {"time": 0.9, "order": 0.9, "none": 1.0}
