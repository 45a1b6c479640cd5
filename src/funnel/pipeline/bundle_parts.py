"""The parts of a bundle but the ranker: towers, index, catalogue, users, statistics."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from funnel.bundle.contents import CONTEXT, WHILE_SERVED, Contents, load_contents, save_settings
from funnel.catalogue.tables import Catalogue
from funnel.catalogue.users import Users
from funnel.config import Config
from funnel.data import shown_columns
from funnel.evaluation.advice import Origin, Training
from funnel.features import FeaturesConfig, Statistics, save_rates
from funnel.pipeline.click_rates import click_rates
from funnel.pipeline.item_index import item_index
from funnel.pipeline.prepare import Prepared
from funnel.pipeline.train import served
from funnel.pipeline.vectors import copy_towers
from funnel.stages import RerankConfig, RetrieveConfig
from funnel.towers.encoder import QueryEncoder
from funnel.towers.queries import Queries, fitted

#: The towers' training, in a draft until the bundle is finished, which does not have it.
TRAINED = "training.json"


def write_parts(prepared: Prepared, towers: Path, folder: Path) -> dict[str, Any]:
    """Write all parts of a bundle but the ranker. Towers and statistics know what came before the test.

    Settings of later stages have their defaults here, see `configured`. Returns figures of the parts.
    """
    config, parts, data = prepared.config, prepared.split, prepared.dataset
    new = copy_towers(prepared, served(towers), folder / "towers")
    encoder = QueryEncoder.load(folder / "towers")
    known = parts.train if parts.refit is None else parts.refit
    query_encoder = fitted(config.encoder, encoder, folder, known)
    index = item_index(prepared, Queries(encoder, query_encoder, config.encoder.name), folder)
    index.save(folder / "index")
    done = config.events.applied(data.log)
    history, times = done.by_user()
    about = data.user_vocabulary, prepared.user_encoder, prepared.user_features
    contents = Contents(
        catalogue=Catalogue(data.item_vocabulary, data.items, prepared.item_features, prepared.item_encoder),
        users=Users(*about, history, times, done.kinds_by_user()),
        encoder=encoder,
        index=index,
        statistics=Statistics.fit(
            parts.test_known, parts.test_statistics, negatives=parts.negatives, folder=folder / "statistics"
        ),
        features=FeaturesConfig(),
        retrieve=RetrieveConfig(),
        rerank=RerankConfig(),
        weights={},
        ranker=None,
        exclude_seen=config.split.exclude_seen,
        encoding=config.encoder,
        query_encoder=query_encoder,
        shown=shown_columns(data) if config.split.protocol == "shown" else (),
        kinds=parts.kinds,
        context=prepared.context,
        rates=prepared.rates(parts.test_statistics),
        click_rates=click_rates(prepared, parts.test),
    )
    contents.catalogue.save(folder / "items")
    contents.users.save(folder / "users")
    contents.statistics.save(folder / "statistics")
    if contents.click_rates is not None:
        contents.click_rates.save(folder / "statistics")
    if prepared.context is not None:
        prepared.context.save(folder / CONTEXT)
        save_rates(contents.rates, folder / CONTEXT)
    save_settings(folder, contents)
    (folder / "schema.json").write_text(data.schema.model_dump_json(indent=1))
    (folder / TRAINED).write_text(_training(towers).model_dump_json())
    return {"items": index.size, "new_items": new, "index": index.spec, "recall": round(index.info.recall, 4)}


def _training(towers: Path) -> Origin:
    """How the towers of a version were trained. `towers.json` is of the first, validated training."""
    about = json.loads((towers / "towers.json").read_text())
    seen = about.get("validation", {}).get("ndcg@100")
    if seen is None:  # exported by an earlier funnel
        return Origin()
    most = about["config"]["epochs"]
    return Origin(training=Training(validation=seen, best=about["best_epoch"], most=most))


def configured(folder: Path, config: Config) -> Contents:
    """The parts in a folder, with the config's settings of the stages."""
    contents = load_contents(folder)
    features = contents.chosen_features(config.features)
    return replace(
        contents, features=features, retrieve=config.retrieve, rerank=config.rerank, rules=config.rules,
        rank=config.rank, while_served=_while_served(config),
    )  # fmt: skip


def _while_served(config: Config) -> dict[str, Any]:
    sections = {name: getattr(config, name) for name in WHILE_SERVED}
    return {
        name: section.model_dump(mode="json")
        for name, section in sections.items()
        if section != type(section)()
    }
