"""The ranker of a bundle, trained on what its parts would have retrieved before it."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from funnel.bundle.contents import CONTEXT, Contents
from funnel.features import Statistics, save_rates
from funnel.pipeline.bundle_parts import configured
from funnel.pipeline.click_rates import click_rates
from funnel.pipeline.item_index import item_index
from funnel.pipeline.prepare import Prepared
from funnel.pipeline.rank import train_ranker
from funnel.pipeline.train import served
from funnel.pipeline.vectors import copy_towers
from funnel.ranker.calibration import save_heads
from funnel.ranker.head_files import save_propensities, save_trees
from funnel.ranker.propensity import Propensities
from funnel.ranker.value_head import save_values
from funnel.towers.encoder import QueryEncoder
from funnel.towers.queries import FOLDER as QUERIES
from funnel.towers.queries import Queries, fitted

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
        save_trees(folder / "ranker", {**facts.further.trees, **facts.worth.trees})
        save_values(folder / "ranker", facts.worth.heads)
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
    """The parts with towers and statistics that know only what came before the ranker's window.

    folder: an empty one. All is written there and loaded, so that other processes can load it as well.
    """
    split, contents = prepared.split, configured(parts, prepared.config)
    if split.refit is None:
        return contents
    own = ["statistics", *(["towers", "index", QUERIES] if served(towers) != towers else [])]
    _link(parts, folder, own)
    if served(towers) != towers:
        copy_towers(prepared, towers, folder / "towers")
        encoder = QueryEncoder.load(folder / "towers")
        then = fitted(contents.encoding, encoder, folder, split.train)
        queries = Queries(encoder, then, contents.encoding.name)
        item_index(prepared, queries, folder).save(folder / "index")
    known, pairs, target = split.ranker_known, split.ranker_statistics, folder / "statistics"
    Statistics.fit(known, pairs, negatives=split.negatives, folder=target).save(target)
    clicks = None if contents.click_rates is None else click_rates(prepared, split.ranker)
    if clicks is not None:
        clicks.save(target)
    if prepared.context is not None:
        shutil.rmtree(folder / CONTEXT)
        prepared.context.save(folder / CONTEXT)
        save_rates(prepared.rates(split.ranker_statistics), folder / CONTEXT)
    return configured(folder, prepared.config)


def _link(parts: Path, folder: Path, but: Sequence[str]) -> None:
    """The files of a folder in another one, where the system can, without a copy of them. but: folders."""

    def link(source: str, target: str) -> None:
        try:
            os.link(source, target)
        except OSError:  # another file system, or one without links
            shutil.copyfile(source, target)

    for path in parts.iterdir():
        if path.is_dir() and path.name not in but and not path.name.startswith("."):
            shutil.copytree(path, folder / path.name, copy_function=link)
        elif path.is_file():
            link(str(path), str(folder / path.name))
