"""The contents of a bundle, read from its folder."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from funnel import plugins
from funnel.bundle.components import given_groups
from funnel.bundle.funnels import Contents
from funnel.bundle.serve_settings import WHILE_SERVED, save_settings
from funnel.catalogue.encoded import check_specs
from funnel.catalogue.tables import Catalogue
from funnel.catalogue.users import Users
from funnel.errors import BundleError, FunnelError
from funnel.features import ClickRates, ContextEncoder, FeaturesConfig, Statistics, load_rates
from funnel.features.click_factors import request_specs
from funnel.index import FaissIndex
from funnel.policies import Drawing
from funnel.ranker import Ranker
from funnel.ranker.calibration import load_heads
from funnel.ranker.head_files import load_propensities, load_trees
from funnel.ranker.value_head import load_values
from funnel.rules import Rule, check_rules
from funnel.stages import RankConfig, RerankConfig, RetrieveConfig
from funnel.stages.value import check_names, number_columns
from funnel.towers import queries
from funnel.towers.encoder import QueryEncoder
from funnel.towers.items import ItemEncoder
from funnel.towers.queries import EncoderConfig
from funnel.types import EventKinds

__all__ = ["CONTEXT", "WHILE_SERVED", "Contents", "given_groups", "load_contents", "save_settings"]

#: The folder of a bundle with what encodes the moment of a request, and how often items are taken in each.
CONTEXT = "context"


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
        while_served={name: settings[name] for name in WHILE_SERVED if name in settings},
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
    return replace(contents, loaded=(folder, contents))
