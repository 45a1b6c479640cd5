"""Build a bundle from trained towers: index, statistics, ranker, report; written as one version."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from funnel.artifacts import Draft, Store
from funnel.artifacts.retention import retain
from funnel.bundle.contents import CONTEXT, Contents, load_contents, save_settings
from funnel.bundle.holdout import HOLDOUT, Holdout
from funnel.bundle.standing_filter import under
from funnel.catalogue.tables import Catalogue
from funnel.catalogue.users import Users
from funnel.config import Config
from funnel.data import shown_columns
from funnel.evaluation import Report
from funnel.evaluation.advice import Origin, RankerOutcome, Training
from funnel.experiments.running import arm_bundles
from funnel.features import FeaturesConfig, Statistics, save_rates
from funnel.gates.explored import choose
from funnel.gates.serving import answers
from funnel.index import FaissIndex
from funnel.pipeline.checks import check
from funnel.pipeline.click_rates import click_rates
from funnel.pipeline.prepare import Prepared
from funnel.pipeline.progress import step
from funnel.pipeline.rank import train_ranker
from funnel.pipeline.report import ranker_is_better, report_on, write_report
from funnel.pipeline.train import served
from funnel.pipeline.vectors import copy_towers
from funnel.ranker import Ranker
from funnel.ranker.calibration import save_heads
from funnel.ranker.head_files import save_propensities, save_trees
from funnel.ranker.propensity import Propensities
from funnel.ranker.value_head import save_values
from funnel.stages import RerankConfig, RetrieveConfig
from funnel.towers.encoder import QueryEncoder
from funnel.towers.queries import FOLDER as QUERIES
from funnel.towers.queries import Queries, fitted
from funnel.types import Examples, Log, Requests

#: Why a bundle keeps the retrieval order.
NOT_BETTER_HELD_OUT = "ranker_not_better_on_other_users"
NOT_BETTER_ON_TEST = "ranker_not_better_on_test"

#: The ranker's training, in a draft until the bundle is finished, which does not have it.
_RANKED = "ranker.json"

#: The towers' training, in the same way.
_TRAINED = "training.json"


@dataclass(frozen=True)
class Built:
    """A bundle that was written, its report on the test window, and three users of that window to try."""

    version: str
    folder: Path
    report: Report
    users: tuple[str, ...]


def build(prepared: Prepared, towers: Path, store: Store, *, progress: bool = False) -> Built:
    """Build the index, train the ranker, evaluate, and write a bundle as a new version of the store.

    towers: the folder that `train_towers` returned. The bundle that is evaluated was loaded from disk.
    The ranker is left out when it is not better than the retrieval order, either on users of its own window
    that it was not trained on, or on the test window; the report and the manifest then say so.
    Raises: see `funnel.pipeline.checks.check`.

        built = build(prepared, towers, Store("indexes"))
    """
    check(prepared, store)
    with store.writing(prepared.config.name) as draft:
        with step("index the items"):
            write_parts(prepared, towers, draft.folder)
        add_ranker(prepared, towers, draft.folder, draft.folder)
        report, users = finish(prepared, draft, progress=progress)
    retain(store, prepared.config.store.keep, also=[draft.version, *arm_bundles(store.folder)])
    return Built(draft.version, store.path(draft.version), report, users)


def write_parts(prepared: Prepared, towers: Path, folder: Path) -> dict[str, Any]:
    """Write all parts of a bundle but the ranker. Towers and statistics know what came before the test.

    Settings of later stages have their defaults here, see `configured`. Returns figures of the parts.
    """
    config, parts, data = prepared.config, prepared.split, prepared.dataset
    new = copy_towers(prepared, served(towers), folder / "towers")
    encoder = QueryEncoder.load(folder / "towers")
    known = parts.train if parts.refit is None else parts.refit
    query_encoder = fitted(config.encoder, encoder, folder, known)
    index = _index(prepared, Queries(encoder, query_encoder, config.encoder.name))
    index.save(folder / "index")
    done = config.events.applied(data.log)
    history, times = done.by_user()
    about = data.user_vocabulary, prepared.user_encoder, prepared.user_features
    contents = Contents(
        catalogue=Catalogue(data.item_vocabulary, data.items, prepared.item_features, prepared.item_encoder),
        users=Users(*about, history, times, done.kinds_by_user()),
        encoder=encoder,
        index=index,
        statistics=Statistics.fit(parts.test_known, parts.test_statistics, negatives=parts.negatives),
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
    (folder / _TRAINED).write_text(_training(towers).model_dump_json())
    return {"items": index.size, "new_items": new, "index": index.spec, "recall": round(index.info.recall, 4)}


def _training(towers: Path) -> Origin:
    """How the towers of a version were trained. `towers.json` is of the first, validated training."""
    about = json.loads((towers / "towers.json").read_text())
    seen = about.get("validation", {}).get("ndcg@100")
    if seen is None:  # exported by an earlier funnel
        return Origin()
    most = about["config"]["epochs"]
    return Origin(training=Training(validation=seen, best=about["best_epoch"], most=most))


def _index(prepared: Prepared, queries: Queries) -> FaissIndex:
    """The index of the towers' vectors, measured with queries of the ranker's window."""
    config = prepared.config
    return FaissIndex.build(
        queries.item_vectors,
        config.index,
        queries.encode(_sample(prepared.split.ranker, 500, config.seed).requests),
        seed=config.seed,
        towers_fingerprint=queries.towers.fingerprint,
        threads=os.cpu_count() or 1,  # the same index, whatever their number
    )


def configured(folder: Path, config: Config) -> Contents:
    """The parts in a folder, with the config's settings of the stages."""
    contents = load_contents(folder)
    features = contents.chosen_features(config.features)
    return replace(
        contents, features=features, retrieve=config.retrieve, rerank=config.rerank, rules=config.rules,
        rank=config.rank,
    )  # fmt: skip


def add_ranker(prepared: Prepared, towers: Path, parts: Path, folder: Path) -> dict[str, Any]:
    """Train a ranker into a folder: ranker/, where it beats the retrieval order, and ranker.json.

    It is trained on what the parts would have retrieved in its window: with towers and statistics that know
    only what came before it. Returns figures of the ranker.
    """
    with tempfile.TemporaryDirectory(dir=folder, prefix=".before-") as before:
        ranker, facts = train_ranker(_before(prepared, towers, parts, Path(before)), prepared)
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
    (folder / _RANKED).write_text(json.dumps(description, indent=1))
    return {"lists": facts.lists, "trees": facts.trees, "better": better}


def _before(prepared: Prepared, towers: Path, parts: Path, folder: Path) -> Contents:
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
        _index(prepared, Queries(encoder, then, contents.encoding.name)).save(folder / "index")
    Statistics.fit(split.ranker_known, split.ranker_statistics, negatives=split.negatives).save(
        folder / "statistics"
    )
    clicks = None if contents.click_rates is None else click_rates(prepared, split.ranker)
    if clicks is not None:
        clicks.save(folder / "statistics")
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


def finish(prepared: Prepared, draft: Draft, *, progress: bool = False) -> tuple[Report, tuple[str, ...]]:
    """Evaluate the parts and the ranker in a draft, and write report, holdout and manifest.

    Returns the report, and users of the test window to try.
    """
    config, folder = prepared.config, draft.folder
    ranked, trained = (json.loads((folder / name).read_text()) for name in (_RANKED, _TRAINED))
    for name in (_RANKED, _TRAINED):
        (folder / name).unlink()
    origin = Origin.model_validate({**trained, "ranker": ranked["outcome"]})
    ranker = Ranker.load(folder / "ranker") if (folder / "ranker").is_dir() else None
    contents = replace(configured(folder, config), weights=ranked["weights"])
    if ranker is not None:
        contents = contents.with_ranker(ranker, folder / "ranker")
    save_settings(folder, contents)
    notes, fallback = list(ranked["notes"]), [] if ranker is not None else [NOT_BETTER_HELD_OUT]
    with step("evaluate"):
        report = report_on(load_contents(folder), prepared, origin=origin, notes=notes, progress=progress)
    if ranker is not None and not ranker_is_better(report):
        fallback = [NOT_BETTER_ON_TEST]
        sentence = report.comparison("rank", "retrieve").sentence
        notes.append(f"{sentence}: the retrieval order is kept")
        left_out = RankerOutcome.model_validate({**ranked["outcome"], "left_out": sentence})
        origin = origin.model_copy(update={"ranker": left_out})
        save_settings(folder, contents.without_ranker())
        with step("evaluate without the ranker"):
            report = report_on(load_contents(folder), prepared, origin=origin, notes=notes, progress=progress)
    notes += [advice.sentence for advice in report.advice if advice.about == "part_better"]
    contents = load_contents(folder)
    if config.explore.is_on:
        with step("choose how lists are drawn"):
            contents = _exploring(contents, prepared, folder, notes)
    with step("write the report"):
        examples = write_report(report, contents, prepared, folder)
        _holdout(contents, prepared).save(folder / HOLDOUT)
    draft.describe(**_manifest(prepared, contents, report, fallback, notes))
    return report, tuple(example["user"] for example in examples)


def _exploring(contents: Contents, prepared: Prepared, folder: Path, notes: list[str]) -> Contents:
    """The contents with what their lists are drawn by, saved; and a note on what that loses."""
    config = prepared.config
    examples = _sample(prepared.split.test, config.gates.holdout, config.seed)
    drawing, sentence = choose(contents, examples, config.explore, config.seed)
    notes.append(sentence)
    contents = replace(contents, explore=drawing)
    save_settings(folder, contents)
    return contents


def _sample(examples: Examples, n: int, seed: int) -> Examples:
    """At most n examples, drawn by the seed."""
    chosen = np.random.default_rng(seed).permutation(len(examples))[:n]
    return examples.take(np.sort(chosen))


def _holdout(contents: Contents, prepared: Prepared) -> Holdout:
    """A seeded sample of the test window, with the bundle's recommendations."""
    sample = _sample(prepared.split.test, prepared.config.gates.holdout, prepared.config.seed)
    examples = under(contents, sample)
    return Holdout(examples, answers(contents, examples.requests), _shown(contents, prepared))


def _shown(contents: Contents, prepared: Prepared) -> Examples | None:
    """A seeded sample of the lists that were shown in the test window, where heads learned from such."""
    lists = None if contents.propensities is None else prepared.test_lists
    return (
        None
        if lists is None
        else _sample(lists.examples, prepared.config.gates.holdout, prepared.config.seed)
    )


def _manifest(
    prepared: Prepared, contents: Contents, report: Report, fallback: list[str], notes: list[str]
) -> dict[str, Any]:
    """The fields of the manifest beside the files' hashes."""
    config, data = prepared.config, prepared.dataset
    last, k = report.rows[-1], report.k
    return {
        "config": config.model_dump(mode="json"),
        "seed": config.seed,
        "schema_fingerprint": data.schema.fingerprint(),
        "towers_fingerprint": contents.encoder.fingerprint,
        "data_checksum": data.checksum(),
        "data_read": prepared.read_at,
        "data_end": contents.statistics.end if contents.statistics.clock == "time" else None,
        "data_window": windows(prepared),
        "metrics": {name: last.metrics[name].mean for name in (f"ndcg@{k}", f"recall@{k}")},
        "plugins": config.needs,
        "fallback": tuple(fallback),
        "notes": tuple(notes),
    }


def windows(prepared: Prepared) -> dict[str, tuple[str, str]]:
    """First and last moment of each window, ISO 8601; empty where the data has no clock."""
    parts = prepared.split
    if parts.train.clock != "time":
        return {}
    return {
        "towers": _moments(parts.train),
        "ranker": _moments(parts.ranker.requests),
        "test": _moments(parts.test.requests),
    }


def _moments(of: Log | Requests) -> tuple[str, str]:
    first, last = (pd.Timestamp(int(at), unit="s", tz="UTC") for at in (of.times.min(), of.times.max()))
    return first.isoformat(), last.isoformat()
