"""What a bundle holds, loaded, and what is made of single parts of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from funnel import plugins
from funnel.catalogue.tables import Catalogue
from funnel.catalogue.users import Users
from funnel.features import CandidateFeatures, ClickRates, ContextEncoder, FeaturesConfig, Rates, Statistics
from funnel.index import Index
from funnel.policies import Drawing
from funnel.ranker import Ranker
from funnel.ranker.calibration import EVENT, Head, load_heads
from funnel.ranker.head_files import load_propensities, load_trees
from funnel.ranker.propensity import Propensities
from funnel.ranker.value_head import ValueHead, load_values
from funnel.rules import Rule, Ruleset
from funnel.stages import ExpectedValue, Parts, RankConfig, RerankConfig, RetrieveConfig, Source, guard
from funnel.towers.encoder import QueryEncoder
from funnel.towers.items import ItemEncoder
from funnel.towers.queries import Encoder, EncoderConfig, Queries
from funnel.types import EventKinds
from funnel.vectors import ItemVectors

if TYPE_CHECKING:
    from funnel.bundle.funnels import Contents


@dataclass(frozen=True)
class Components:
    """All parts of a bundle that an answer needs, loaded.

    weights: of each source in the retrieval order. ranker: None where the retrieval order is kept.
    exclude_seen: whether items of a user's history are never returned, or the kinds of events whose items
    are not. shown: columns of the lists that
    requests choose from; none where they choose from the catalogue. item_encoder: None in a bundle of an
    older funnel. own: the bundle's own contents, where these have changed since it was built. encoding,
    query_encoder: what makes a request's query, and its name in the config. rules: what must hold of a list.
    heads: scores as probabilities, by kind of event; none where there is no ranker, and in a bundle of an
    older funnel. head_trees: what gives the scores of a head that has trees of its own; others go by the
    ranker's. worth: what events of each kind are worth, where `rank` reads that; their trees are among
    head_trees. propensities: how far positions were looked at in lists that heads learned from; None where
    they learned from none.
    rank: by what the ranked list is ordered. context: what encodes what is known
    at the moment of a request; None where nothing is. explore: by what lists are drawn that are to be; None
    where none is. rates: how often items are taken in each of its categories. kinds: what the kinds of events
    are for; None where they are of one. click_rates: of items where they were shown; None where that is not
    logged. while_served: `[impressions]` and `[monitor]` of the config, where they are not the usual ones:
    they decide no answer and count while the bundle is in use. loaded: the folder, and what it gave; None for
    contents that were made in memory.
    """

    catalogue: Catalogue
    users: Users
    encoder: QueryEncoder
    index: Index
    statistics: Statistics
    features: FeaturesConfig
    retrieve: RetrieveConfig
    rerank: RerankConfig
    weights: dict[str, float]
    ranker: Ranker | None
    exclude_seen: bool | tuple[str, ...]
    encoding: EncoderConfig
    query_encoder: Encoder
    shown: tuple[str, ...] = ()
    item_encoder: ItemEncoder | None = None
    own: Contents | None = None
    heads: Mapping[str, Head] = field(default_factory=dict)
    head_trees: Mapping[str, Ranker] = field(default_factory=dict)
    worth: Mapping[str, ValueHead] = field(default_factory=dict)
    propensities: Propensities | None = None
    rules: tuple[Rule, ...] = ()
    rank: RankConfig = field(default_factory=RankConfig)
    explore: Drawing | None = None
    context: ContextEncoder | None = None
    rates: Mapping[str, Rates] = field(default_factory=dict)
    kinds: EventKinds | None = None
    click_rates: ClickRates | None = None
    while_served: Mapping[str, Any] = field(default_factory=dict)
    loaded: tuple[Path, Contents] | None = field(default=None, compare=False, repr=False)

    @property
    def vectors(self) -> ItemVectors:
        """Item vectors of the towers [n_items, d]; rows are read as float32."""
        return self.encoder.item_vectors

    @property
    def queries(self) -> Queries:
        """What makes queries of requests, beside the item vectors."""
        return Queries(self.encoder, self.query_encoder, self.encoding.name)

    def sources(self) -> list[Source]:
        """The retrieval sources that the config names and the data has, in its order."""
        return self._sources

    @cached_property
    def _sources(self) -> list[Source]:
        options = self.retrieve.options
        built = [guard.source(name, self.parts, options.get(name, {})) for name in self.retrieve.sources]
        return [source for source in built if source is not None]

    @property
    def parts(self) -> Parts:
        """The parts that sources and stages are built from."""
        return Parts(self.catalogue, self.users, self.queries, self.index, self.statistics, self.rerank)

    def candidate_features(self) -> CandidateFeatures:
        """What the ranker sees; the same for training and for a live request."""
        return self._candidate_features

    def chosen_features(self, features: FeaturesConfig) -> FeaturesConfig:
        """Of a config, with the groups that these data give where it leaves the choice to funnel."""
        return features.beside(*given_groups(self.context, self.kinds, self.click_rates))

    @cached_property
    def _candidate_features(self) -> CandidateFeatures:
        return CandidateFeatures(
            self.features,
            self.statistics,
            self.catalogue.features,
            self.vectors,
            self.users.encoder.specs,
            self.encoder.item_specs,
            sources=tuple(source.name for source in self.sources()),
            shown=self.shown,
            moment_specs={} if self.context is None else self.context.specs,
            kinds=self.kinds,
            rates=self.rates,
            click_rates=self.click_rates,
            fitted=None if self.own is None else self.own.catalogue.features,
        )

    @cached_property
    def expected_value(self) -> ExpectedValue | None:
        """What items are ordered by; None where that is the ranker's score, or nothing is known to be
        probable."""
        if self.rank.value is None or not self.heads or self.ranker is None:
            return None
        context = () if self.context is None else self.context.numbers
        return ExpectedValue(self.rank, self.heads, self.catalogue, context, self.worth)

    @cached_property
    def ruleset(self) -> Ruleset:
        """The rules on these items."""
        return Ruleset(self.rules, self.catalogue)

    def is_of_shown(self, head: str) -> bool:
        """Whether the probability is of an item that is shown and looked at, and not of a candidate."""
        return self.propensities is not None and head != EVENT

    @property
    def needs(self) -> tuple[plugins.Needed, ...]:
        """The plugins that are needed to answer."""
        return plugins.needed(
            [
                ("encoder", self.encoding.name),
                *(("source", name) for name in self.retrieve.sources),
                *(("stage", name) for name in (*self.retrieve.stages, *self.rerank.stages)),
                *(("feature", name) for name in self.features.groups),
            ]
        )

    def with_ranker(self, ranker: Ranker, folder: Path) -> Self:
        """The same with a ranker, and with the heads that were saved beside it in the folder."""
        return replace(
            self,
            ranker=ranker,
            heads=load_heads(folder),
            head_trees=load_trees(folder),
            worth=load_values(folder),
            propensities=load_propensities(folder),
        )

    def without_ranker(self) -> Self:
        """The same, keeping the retrieval order."""
        return replace(self, ranker=None, heads={}, head_trees={}, worth={}, propensities=None)


def given_groups(
    context: ContextEncoder | None, kinds: EventKinds | None, click_rates: ClickRates | None
) -> list[str]:
    """The feature groups that come with what the data have."""
    factors = None if click_rates is None else click_rates.factors
    given = {"context": context, "kinds": kinds, "click_rate": click_rates, "click_factor": factors}
    return [name for name, there in given.items() if there is not None]
