"""Put a bundle together from trained towers: index, statistics, ranker, report; written as one version."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from funnel.bundle import Store
from funnel.bundle.contents import Contents, load_contents, save_settings
from funnel.bundle.holdout import HOLDOUT, Holdout
from funnel.bundle.retention import retain
from funnel.bundle.tables import Catalogue, Users
from funnel.data import shown_columns
from funnel.evaluation import Report
from funnel.features import Statistics
from funnel.gates.serving import answers
from funnel.index import FaissIndex
from funnel.pipeline.prepare import Prepared
from funnel.pipeline.rank import train_ranker
from funnel.pipeline.report import ranker_is_better, report_on, write_report
from funnel.towers.encoder import QueryEncoder
from funnel.types import Examples, Log, Requests

#: Why a bundle keeps the retrieval order.
NOT_BETTER_HELD_OUT = "ranker_not_better_on_other_users"
NOT_BETTER_ON_TEST = "ranker_not_better_on_test"


@dataclass(frozen=True)
class Built:
    """A bundle that was written, its report on the test window, and three users of that window to try."""

    version: str
    folder: Path
    report: Report
    users: tuple[str, ...]


def build(prepared: Prepared, towers: Path, store: Store, *, progress: bool = False) -> Built:
    """Index, rank, evaluate, write. What is measured is what was written and loaded back.

    The ranker is left out when it is not better than the retrieval order, be it on users of its own window
    that it was not grown on, or on the test window: the bundle then keeps the retrieval order and says so.
    """
    parts = prepared.split
    contents = _contents(prepared, towers)
    ranker, facts = train_ranker(contents, prepared)
    served = replace(
        contents,
        statistics=Statistics.fit(parts.test_known, parts.test_statistics),
        weights=facts.weights,
        ranker=ranker if facts.verdict is not None and facts.verdict.better else None,
    )
    fallback = [] if served.ranker is not None else [NOT_BETTER_HELD_OUT]
    notes = facts.sentences()
    with store.writing(prepared.config.name) as draft:
        _write(served, towers, prepared, draft.folder)
        report = report_on(load_contents(draft.folder), prepared, notes=notes, progress=progress)
        if served.ranker is not None and not ranker_is_better(report):
            fallback = [NOT_BETTER_ON_TEST]
            notes = [*notes, report.comparison("rank", "retrieve").sentence + ": the retrieval order is kept"]
            save_settings(draft.folder, served.without_ranker())
            report = report_on(load_contents(draft.folder), prepared, notes=notes, progress=progress)
        served = load_contents(draft.folder)
        examples = write_report(report, served, prepared, draft.folder)
        _holdout(served, prepared).save(draft.folder / HOLDOUT)
        draft.describe(**_manifest(prepared, contents, report, fallback, notes))
    retain(store, prepared.config.store.keep, also=[draft.version])
    return Built(draft.version, store.path(draft.version), report, tuple(one["user"] for one in examples))


def _contents(prepared: Prepared, towers: Path) -> Contents:
    """Everything but the ranker, with statistics as they were at the start of the ranker's window."""
    config, parts, data = prepared.config, prepared.split, prepared.dataset
    encoder = QueryEncoder.load(towers)
    sample = _sample(parts.ranker, 500, config.seed)
    index = FaissIndex.build(
        encoder.item_vectors,
        config.index,
        encoder.encode(sample.requests),
        seed=config.seed,
        towers_fingerprint=encoder.fingerprint,
    )
    history, times = data.log.by_user()
    return Contents(
        catalogue=Catalogue(data.item_vocabulary, data.items, prepared.item_features, prepared.item_encoder),
        users=Users(data.user_vocabulary, prepared.user_encoder, prepared.user_features, history, times),
        encoder=encoder,
        index=index,
        statistics=Statistics.fit(parts.ranker_known, parts.ranker_statistics),
        features=config.features,
        retrieve=config.retrieve,
        rerank=config.rerank,
        weights={},
        ranker=None,
        exclude_seen=config.split.exclude_seen,
        shown=shown_columns(data) if config.split.reading == "shown" else (),
    )


def _sample(examples: Examples, n: int, seed: int) -> Examples:
    """At most n examples, seeded."""
    chosen = np.random.default_rng(seed).permutation(len(examples))[:n]
    return examples.take(np.sort(chosen))


def _holdout(contents: Contents, prepared: Prepared) -> Holdout:
    """A seeded part of the test window, with what the bundle answers."""
    examples = _sample(prepared.split.test, prepared.config.gates.holdout, prepared.config.seed)
    return Holdout(examples, answers(contents, examples.requests))


def _write(contents: Contents, towers: Path, prepared: Prepared, folder: Path) -> None:
    """Every part of a bundle into its folder."""
    contents.catalogue.save(folder / "items")
    contents.users.save(folder / "users")
    contents.statistics.save(folder / "statistics")
    shutil.copytree(towers, folder / "towers", ignore=shutil.ignore_patterns("manifest.json", "user_*"))
    assert isinstance(contents.index, FaissIndex)
    contents.index.save(folder / "index")
    if contents.ranker is not None:
        contents.ranker.save(folder / "ranker")
    save_settings(folder, contents)
    (folder / "schema.json").write_text(prepared.dataset.schema.model_dump_json(indent=1))


def _manifest(
    prepared: Prepared, contents: Contents, report: Report, fallback: list[str], notes: list[str]
) -> dict[str, Any]:
    """What the manifest says beside the files' hashes."""
    config, data = prepared.config, prepared.dataset
    last, k = report.rows[-1], report.k
    return {
        "config": config.model_dump(mode="json"),
        "seed": config.seed,
        "schema_fingerprint": data.schema.fingerprint(),
        "towers_fingerprint": contents.encoder.fingerprint,
        "data_checksum": data.checksum(),
        "data_window": _windows(prepared),
        "metrics": {name: last.metrics[name].mean for name in (f"ndcg@{k}", f"recall@{k}")},
        "fallback": tuple(fallback),
        "notes": tuple(notes),
    }


def _windows(prepared: Prepared) -> dict[str, tuple[str, str]]:
    """First and last moment of each window; empty where the data has no clock."""
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
