"""The ranker of a bundle, trained on what its parts would have retrieved before it."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from funnel.bundle.contents import Contents
from funnel.features import Statistics
from funnel.pipeline.bundle_parts import configured, item_index
from funnel.pipeline.click_rates import click_rates
from funnel.pipeline.prepare import Prepared
from funnel.pipeline.rank import train_ranker
from funnel.pipeline.train import served
from funnel.pipeline.vectors import copy_towers
from funnel.ranker.calibration import save_heads
from funnel.ranker.head_files import save_propensities, save_trees
from funnel.ranker.propensity import Propensities
from funnel.towers.encoder import QueryEncoder
from funnel.towers.queries import fitted

#: The ranker's training, in a draft until the bundle is finished, which does not have it.
RANKED = "ranker.json"


def add_ranker(prepared: Prepared, towers: Path, parts: Path, folder: Path) -> dict[str, Any]:
    """Train a ranker into a folder: ranker/, where it beats the retrieval order, and ranker.json.

    It is trained on what the parts would have retrieved in its window: with towers and statistics that know
    only what came before it. Returns figures of the ranker.
    """
    with tempfile.TemporaryDirectory(dir=folder, prefix=".before-") as before:
        ranker, facts = train_ranker(before_ranker(prepared, towers, parts, Path(before)), prepared)
    better = ranker is not None and facts.verdict is not None and facts.verdict.better
    if ranker is not None and better:
        ranker.save(folder / "ranker")
        save_heads(folder / "ranker", {**facts.heads, **facts.further.heads})
        save_trees(folder / "ranker", facts.further.trees)
        if facts.further.shown:
            save_propensities(folder / "ranker", facts.further.propensities or Propensities.equal())
    description = {
        "weights": facts.order.weights,
        "notes": facts.sentences(),
        "outcome": facts.outcome(trained=ranker is not None).model_dump(mode="json"),
    }
    (folder / RANKED).write_text(json.dumps(description, indent=1))
    return {"lists": facts.lists, "trees": facts.trees, "better": better}


def before_ranker(prepared: Prepared, towers: Path, parts: Path, folder: Path) -> Contents:
    """The parts with towers and statistics that know only what came before the ranker's window."""
    split, contents = prepared.split, configured(parts, prepared.config)
    if split.refit is None:
        return contents
    encoder = contents.encoder
    if served(towers) != towers:
        copy_towers(prepared, towers, folder / "towers")
        encoder = QueryEncoder.load(folder / "towers")
    if encoder is not contents.encoder or not contents.encoding.own:
        then = fitted(contents.encoding, encoder, folder, split.train)
        contents = replace(contents, encoder=encoder, query_encoder=then)
        contents = replace(contents, index=item_index(prepared, contents.queries))
    known, pairs, negatives = split.ranker_known, split.ranker_statistics, split.negatives
    statistics = Statistics.fit(known, pairs, negatives=negatives, folder=folder / "statistics")
    rates = prepared.rates(split.ranker_statistics)
    clicks = None if contents.click_rates is None else click_rates(prepared, split.ranker)
    return replace(contents, statistics=statistics, rates=rates, click_rates=clicks)
