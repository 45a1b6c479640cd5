"""The contents of a bundle, and the funnel that is made from them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from funnel import plugins
from funnel.catalogue.encoded import check_specs
from funnel.catalogue.tables import Catalogue
from funnel.catalogue.users import Users
from funnel.durations import Durations
from funnel.engine import Funnel
from funnel.errors import BundleError, FunnelError
from funnel.features import (
    CandidateFeatures,
    ClickRates,
    ContextEncoder,
    FeaturesConfig,
    Rates,
    Statistics,
    load_rates,
)
from funnel.features.click_factors import request_specs
from funnel.index import ExactIndex, FaissIndex, Index
from funnel.policies import Draw, Drawing
from funnel.ranker import Ranker
from funnel.ranker.calibration import EVENT, Head, load_heads
from funnel.ranker.head_files import load_propensities, load_trees
from funnel.ranker.propensity import Propensities
from funnel.ranker.value_head import ValueHead, load_values
from funnel.rules import Rule, Ruleset, check_rules
from funnel.stages import (
    VECTOR_WEIGHT,
    ByValue,
    CovisitationSource,
    Eligible,
    ExpectedValue,
    Filter,
    Given,
    ItemQueries,
    Parts,
    Rank,
    RankConfig,
    RerankConfig,
    Retrieve,
    RetrieveConfig,
    Rules,
    Source,
    Stage,
    Top,
    TowerSource,
    guard,
)
from funnel.stages.value import check_names, number_columns
from funnel.towers import queries
from funnel.towers.encoder import QueryEncoder
from funnel.towers.items import ItemEncoder
from funnel.towers.queries import Encoder, EncoderConfig, Queries
from funnel.types import EventKinds, Float32

#: The folder of a bundle with what encodes the moment of a request, and how often items are taken in each.
CONTEXT = "context"


@dataclass(frozen=True)
class Contents:
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
    logged.
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

    @property
    def vectors(self) -> Float32:
        """Item vectors of the towers: [n_items, d]."""
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

    def retriever(self, k: int | None = None) -> Retrieve:
        """The first stage: all sources, merged; k positions (default: the config's), or as many as items."""
        k = min(k or self.retrieve.k, len(self.catalogue.ids))
        return Retrieve(self.sources(), k, self.weights, unseen=self.statistics.unseen)

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

    def before_ranking(self, k: int | None = None) -> list[Stage]:
        """What hands the ranker its shortlist, in training as when it serves: retrieval, the filter, and the
        stages of plugins between them and the ranker. k: places; default the config's."""
        shortlist, options = k or self.retrieve.k, self.retrieve.options
        stages = [guard.stage(name, self.parts, options.get(name, {})) for name in self.retrieve.stages]
        between = [stage for stage in stages if stage is not None]
        return [self.retriever(k), Filter(shortlist), *between]

    def funnel(self, k: int | None = None, durations: Durations | None = None) -> Funnel:
        """Retrieve, filter, rank unless the retrieval order is kept, re-rank to k (default: the config's).

        durations: of stages so far, see `Funnel`.
        """
        k = k or self.rerank.k
        return Funnel([*self.until_reranking(k), *self.behind_ranking(k)], durations=durations)

    def until_reranking(self, k: int) -> list[Stage]:
        """What gives the order that diversity and rules, or draws, start from: for lists of k items."""
        stages = self.before_ranking(max(self.retrieve.k, k))
        if self.rules:
            stages.append(Eligible(self.ruleset, self.retriever(max(self.retrieve.k, k)), k))
        if self.ranker is not None:
            stages.append(self.rank_stage(self.ranker))
        if self.expected_value is not None:
            stages.append(ByValue(self.expected_value))
        return stages

    def drawn(self, k: int | None = None, durations: Durations | None = None) -> Funnel:
        """The same as `funnel`, with lists that are drawn. Raises: BundleError where the bundle draws
        none."""
        if self.explore is None:
            raise BundleError("this bundle draws no lists: its config has no [explore]")
        k = k or self.rerank.k
        return Funnel([*self.until_reranking(k), *self.drawing(self.explore, k)], durations=durations)

    def drawing(self, drawing: Drawing, k: int) -> list[Stage]:
        """The stages of plugins behind the ranker, and the one that draws in place of those behind them."""
        everything = self.rerank.model_copy(update={"k": len(self.catalogue.ids)})
        of_plugins = [name for name in self.rerank.stages if name != "diversify"]
        stages = self._built(of_plugins, replace(self.parts, rerank=everything))
        rerank = self.rerank if "diversify" in self.rerank.stages else RerankConfig(pool=self.rerank.pool)
        ruleset = self.ruleset if self.rules else None
        greedy = self.behind_ranking(k)[len(stages) :]
        return [*stages, Draw(self.vectors, rerank, drawing, k, greedy=greedy, ruleset=ruleset)]

    def behind_ranking(self, k: int) -> list[Stage]:
        """What makes the list of k items of what was ranked."""
        if self.rules:  # which choose k of all, in the order that the stages before them give
            return [*self._reranking(len(self.catalogue.ids), self.rerank.pool), Rules(self.ruleset, k)]
        return self._reranking(k, max(self.rerank.pool, k))

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

    def ranking(self, k: int | None = None, durations: Durations | None = None) -> Funnel:
        """What ranks a list that the request brings (`Requests.shown`) and keeps all of it: its items placed
        as the ranker learned, the stages of plugins between, the ranker. Rules choose from a catalogue and
        have no part. k: re-rank to k as well."""
        stages = self.before_ranking()
        first = stages[0] if self.shown else Given(self.retriever(), self.retrieve.k)
        stages = [first, *stages[2:]]
        if self.ranker is not None:
            stages.append(self.rank_stage(self.ranker))
        if self.expected_value is not None:
            stages.append(ByValue(self.expected_value))
        return Funnel(
            [*stages, *([] if k is None else self._reranking(k, max(self.rerank.pool, k)))],
            durations=durations,
        )

    def rank_stage(self, ranker: Ranker) -> Rank:
        """What scores candidates: by the ranker, and by the trees of its heads."""
        return Rank(ranker, self.candidate_features(), heads=self.head_trees)

    def placing(self, ranker: Ranker | None = None) -> list[Stage]:
        """What makes candidates of the items of a given list, as the ranker gets them when it serves; and the
        ranker, where one is given."""
        stages = [Given(self.retriever(), self.retrieve.k), *self.before_ranking()[2:]]
        return stages if ranker is None else [*stages, self.rank_stage(ranker)]

    def is_of_shown(self, head: str) -> bool:
        """Whether the probability is of an item that is shown and looked at, and not of a candidate."""
        return self.propensities is not None and head != EVENT

    def neighbours(self, k: int, durations: Durations | None = None) -> Funnel:
        """What finds the k items nearest to the newest of a request's history: by co-visitation with all of
        it first, then by that item's vector. The ranker, which knows what a user wants next, has no part."""
        towers = TowerSource(ItemQueries(self.vectors), self.index)
        sources: list[Source] = [CovisitationSource(self.statistics), towers]
        wanted = min(max(k, self.retrieve.k), len(self.catalogue.ids))
        retrieve = Retrieve(sources, wanted, {towers.name: VECTOR_WEIGHT})
        return Funnel([retrieve, Filter(k)], durations=durations)

    def _reranking(self, k: int, pool: int) -> list[Stage]:
        """The stages behind the ranker, of which the last leaves k items at most."""
        rerank = self.rerank.model_copy(update={"k": k, "pool": pool})
        parts = replace(self.parts, rerank=rerank)
        stages = self._built(rerank.stages, parts)
        return stages if rerank.stages[-1] == "diversify" else [*stages, Top(k)]

    def _built(self, names: Iterable[str], parts: Parts) -> list[Stage]:
        """Stages behind the ranker, by name."""
        built = [guard.stage(name, parts, self.rerank.options.get(name, {})) for name in names]
        return [stage for stage in built if stage is not None]

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

    def exact(self, k: int) -> Funnel:
        """Every item scored with the towers: the reference that approximate search is held against."""
        index, threads = ExactIndex(self.vectors), os.cpu_count() or 1  # used offline only
        return Funnel([Retrieve([TowerSource(self.queries, index, threads=threads)], k)])

    def with_ranker(self, ranker: Ranker, folder: Path) -> Contents:
        """The same with a ranker, and with the heads that were saved beside it in the folder."""
        return replace(
            self,
            ranker=ranker,
            heads=load_heads(folder),
            head_trees=load_trees(folder),
            worth=load_values(folder),
            propensities=load_propensities(folder),
        )

    def without_ranker(self) -> Contents:
        """The same, keeping the retrieval order."""
        return replace(self, ranker=None, heads={}, head_trees={}, worth={}, propensities=None)


def given_groups(
    context: ContextEncoder | None, kinds: EventKinds | None, click_rates: ClickRates | None
) -> list[str]:
    """The feature groups that come with what the data have."""
    factors = None if click_rates is None else click_rates.factors
    given = {"context": context, "kinds": kinds, "click_rate": click_rates, "click_factor": factors}
    return [name for name, there in given.items() if there is not None]


def save_settings(folder: Path, contents: Contents) -> None:
    """serve.json: the settings that the funnel is put together from."""
    settings: dict[str, Any] = {
        "features": contents.features.model_dump(mode="json"),
        "retrieve": contents.retrieve.model_dump(mode="json", exclude={"where"}),
        "rerank": contents.rerank.model_dump(mode="json"),
        "weights": contents.weights,
        "exclude_seen": contents.exclude_seen,
        "shown": contents.shown,
        "use_ranker": contents.ranker is not None,
    }
    if contents.encoding != EncoderConfig():
        settings["encoder"] = contents.encoding.model_dump(mode="json")
    if contents.retrieve.where is not None:
        settings["retrieve"]["where"] = contents.retrieve.where
    if contents.rules:
        settings["rules"] = [rule.model_dump(mode="json") for rule in contents.rules]
    if contents.rank != RankConfig():
        settings["rank"] = contents.rank.model_dump(mode="json")
    if contents.explore is not None:
        settings["explore"] = contents.explore.model_dump(mode="json")
    if contents.kinds is not None:
        settings["kinds"] = asdict(contents.kinds)
    if needs := contents.needs:
        settings["plugins"] = [plugin.model_dump(mode="json") for plugin in needs]
    (folder / "serve.json").write_text(json.dumps(settings, indent=1, sort_keys=True))


def load_contents(folder: Path, towers_fingerprint: str | None = None) -> Contents:
    """Everything in a bundle's folder, arrays memory-mapped. The folder is taken to be verified.

    What a hash cannot say is looked at here, in one pass over the arrays that compiled code indexes with:
    that each row number leads to a row, and each array is of the type and shape that it is read as.
    Raises: BundleError naming the file that is not what it must be, or a part that other towers made.
    """
    try:
        return _loaded(folder, towers_fingerprint)
    except FunnelError:
        raise
    except Exception as error:  # whole, but not what this funnel reads: any library may stumble over it
        raise BundleError(f"bundle {folder} is whole but cannot be used: {error!r}") from error


def _event_kinds(raw: Any, encoder: QueryEncoder) -> EventKinds | None:
    """Raises: BundleError where the query tower reads other kinds."""
    kinds = None if raw is None else TypeAdapter(EventKinds).validate_python(raw)
    if encoder.kinds and encoder.kinds != (kinds.names if kinds else ()):
        now = ", ".join(kinds.names) if kinds else "none"
        raise BundleError(
            f"the towers were trained on the kinds of events {', '.join(encoder.kinds)}, and the data have "
            f"{now}: train them again, without --keep train"
        )
    return kinds


def _kinds_or_truth(raw: Any) -> bool | tuple[str, ...]:
    return tuple(raw) if isinstance(raw, list) else bool(raw)


def _loaded(folder: Path, towers_fingerprint: str | None) -> Contents:
    settings = json.loads((folder / "serve.json").read_text())
    needs = [plugins.Needed.model_validate(plugin) for plugin in settings.get("plugins", ())]
    plugins.require(needs, f"bundle {folder.name}")
    encoder = QueryEncoder.load(folder / "towers")
    if towers_fingerprint is not None and encoder.fingerprint != towers_fingerprint:
        raise BundleError(f"{folder}: the query tower is {encoder.fingerprint}, not {towers_fingerprint}")
    encoding = EncoderConfig.model_validate(settings.get("encoder", {}))
    kinds = _event_kinds(settings.get("kinds"), encoder)
    n_items, statistics = len(encoder.item_vectors), Statistics.load(folder / "statistics")
    context = ContextEncoder.load(folder / CONTEXT)
    moment = {} if context is None else context.specs
    contents = Contents(
        catalogue=Catalogue.load(folder / "items", encoder.item_specs),
        users=Users.load(folder / "users", encoder.user_specs, n_items, len(kinds.names) if kinds else 0),
        encoder=encoder,
        index=FaissIndex.load(folder / "index", encoder.item_vectors, towers_fingerprint=encoder.fingerprint),
        statistics=statistics,
        features=FeaturesConfig.model_validate(settings["features"]),
        retrieve=RetrieveConfig.model_validate(settings["retrieve"]),
        rerank=RerankConfig.model_validate(settings["rerank"]),
        weights=settings["weights"],
        ranker=Ranker.load(folder / "ranker") if settings["use_ranker"] else None,
        exclude_seen=_kinds_or_truth(settings["exclude_seen"]),
        shown=tuple(settings.get("shown", ())),
        item_encoder=ItemEncoder.load(folder / "towers"),
        encoding=encoding,
        query_encoder=queries.loaded(encoding, encoder, folder),
        kinds=kinds,
        heads=load_heads(folder / "ranker") if settings["use_ranker"] else {},
        head_trees=load_trees(folder / "ranker") if settings["use_ranker"] else {},
        worth=load_values(folder / "ranker") if settings["use_ranker"] else {},
        propensities=load_propensities(folder / "ranker") if settings["use_ranker"] else None,
        rank=RankConfig.model_validate(settings.get("rank", {})),
        explore=None if settings.get("explore") is None else Drawing.model_validate(settings["explore"]),
        rules=TypeAdapter(tuple[Rule, ...]).validate_python(settings.get("rules", ())),
        context=context,
        rates=load_rates(folder / CONTEXT, n_items, moment, encoder.item_specs),
        click_rates=ClickRates.load(
            folder / "statistics", n_items, encoder.item_specs, request_specs(encoder.user_specs, moment)
        ),
    )
    check_specs({name: moment.get(name) for name in encoder.context_specs}, encoder.context_specs, folder)
    check_rules(contents.rules, contents.catalogue.layout)
    if contents.heads:
        numbers = () if context is None else context.numbers
        columns = number_columns(contents.catalogue)
        check_names(contents.rank, contents.heads, columns, numbers, contents.worth)
    if not n_items == len(contents.catalogue.ids) == statistics.n_items:
        raise BundleError(
            f"{folder}: {n_items} item vectors, {len(contents.catalogue.ids)} items and statistics of "
            f"{statistics.n_items}: they must be of one catalogue; build the bundle again"
        )
    return contents
