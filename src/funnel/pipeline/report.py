"""Evaluate a loaded bundle on the test window, and write what was found."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from funnel import plugins
from funnel.artifacts import Store
from funnel.bundle.contents import Contents, load_contents
from funnel.config import EvaluateConfig
from funnel.engine import Funnel
from funnel.errors import BundleError
from funnel.evaluation import Recommend, Report, Subject
from funnel.evaluation import evaluate as measure
from funnel.evaluation.frontier import Point, measure_settings
from funnel.evaluation.metrics import Metric
from funnel.index import FaissIndex
from funnel.pages.report import ExampleUser, write_page
from funnel.pipeline.examples import example_users
from funnel.pipeline.prepare import Prepared
from funnel.pipeline.rules import costs_of_rules
from funnel.stages import CovisitationSource, PopularSource, Retrieve, ShownSource, Source, TowerSource
from funnel.types import Requests

#: Queries that the settings of the index are measured with.
_QUERIES = 50


def report_on(
    contents: Contents, prepared: Prepared, *, notes: Sequence[str] = (), progress: bool = False
) -> Report:
    """Every stage of the bundle's funnel on the test window, beside the baselines and exact search."""
    config, split, data = prepared.config, prepared.split, prepared.dataset
    depth = max(config.evaluate.ks)
    statistics = contents.statistics
    as_shown = {} if split.test.requests.shown is None else {"as shown": _alone(ShownSource(), depth)}
    report = measure(
        funnel=contents.funnel(config.evaluate.ks[0]),
        examples=split.test,
        subject=Subject(
            dataset=data.name, checksum=data.checksum(), protocol=_protocol(prepared), reading=split.reading
        ),
        popularity=np.bincount(split.test_statistics.items, minlength=len(contents.catalogue.ids)),
        baselines={
            **as_shown,
            "popular": _alone(PopularSource(statistics), depth),
            "recent-popular": _alone(PopularSource(statistics, statistics.recent_window), depth),
            "co-visitation": _alone(CovisitationSource(statistics), depth),
        },
        exact=contents.exact(depth),
        approximate=_alone(TowerSource(contents.encoder, contents.index), depth),
        truth_scores=None if data.truth is None else data.truth.scores,
        also=_further(config.evaluate),
        ks=config.evaluate.ks,
        seed=config.seed,
        latency_requests=config.evaluate.latency_requests,
        config=config.model_dump(mode="json"),
        notes=[
            *data.notes,
            *notes,
            *costs_of_rules(contents, split.test, config.evaluate.ks[0], config.seed),
        ],
        progress=progress,
    )
    return report.model_copy(update={"frontier": _frontier(contents, split.test.requests, config.seed)})


def _further(config: EvaluateConfig) -> dict[str, Metric]:
    """The metrics of plugins that a config names, with their options."""
    return {
        name: partial(plugins.make, "metric", name, options=config.options.get(name)) for name in config.also
    }


def _frontier(contents: Contents, requests: Requests, seed: int) -> tuple[Point, ...]:
    """What the bundle's index finds and costs, with some of the test window's queries."""
    if not isinstance(contents.index, FaissIndex):
        return ()
    some = requests.take(np.sort(np.random.default_rng(seed).permutation(len(requests))[:_QUERIES]))
    return measure_settings(contents.index, contents.vectors, contents.encoder.encode(some))


def _protocol(prepared: Prepared) -> str:
    """How requests and targets came about, in words."""
    split = prepared.split
    if split.protocol == "time":
        ranker, test = (
            pd.Timestamp(int(part.requests.times.min()), unit="s").date()
            for part in (split.ranker, split.test)
        )
        return f"global time: towers before {ranker}, ranker before {test}, test after"
    if split.protocol == "leave_one_out":
        return "leave one out: each user's last item is the test, the one before it the ranker's"
    return "published split: a tenth of each user's training items is the ranker's"


def _alone(source: Source, k: int) -> Recommend:
    """A source as a recommender of its own."""
    return Funnel([Retrieve([source], k)])


def ranker_is_better(report: Report) -> bool:
    """Whether the ranked order beats the retrieval order on the test window, interval and all."""
    return report.comparison("rank", "retrieve").difference.better


#: The source of `[retrieve]` that answers as a baseline of the report does, as far as one may.
_SOURCES = {"popular": "popular", "recent-popular": "popular", "co-visitation": "covisitation"}


def worse_than_baselines(report: Report) -> list[str]:
    """What to do where a baseline is better than the ranked list on the test window, interval and all."""
    stages = {row.name for row in report.rows if row.kind == "stage"} - {report.comparisons[0].b}
    return [
        f"{one.sentence}: more than one source, or the ranker, does harm here. `sources = "
        f'["{_SOURCES[one.b]}"]` under [retrieve] serves that source alone; the gate `baselines` holds this'
        for one in report.comparisons
        if one.difference.worse and one.b in _SOURCES and one.a in stages
    ]


def evaluate(store: Store, version: str, prepared: Prepared, *, progress: bool = False) -> Report:
    """The report on a bundle of the store, measured on the test window of `prepared`.

    version: "current" is the published one. Raises: see `evaluate_bundle`.
    """
    return evaluate_bundle(store, version, prepared, progress=progress)[1]


def evaluate_bundle(
    store: Store, version: str, prepared: Prepared, *, progress: bool = False
) -> tuple[Contents, Report]:
    """A bundle of the store, verified, loaded, and measured on the test window of `prepared`.

    Raises: BundleError when the bundle is damaged or was made for data of another schema or other items.
    """
    version = store.current() if version == "current" else version
    manifest = store.verify(version)
    found = prepared.dataset.schema.fingerprint()
    if manifest.schema_fingerprint != found:
        raise BundleError(
            f"bundle {version} was made for data of another schema ({manifest.schema_fingerprint[:12]}) "
            f"than {prepared.dataset.name} has ({found[:12]}); build one from this data first"
        )
    contents = load_contents(store.path(version), manifest.towers_fingerprint)
    if not np.array_equal(contents.catalogue.ids.values, prepared.dataset.item_ids):
        raise BundleError(
            f"bundle {version} has {len(contents.catalogue.ids)} items, {prepared.dataset.name} has "
            f"{len(prepared.dataset.items)} or other ones; build a bundle from this data first"
        )
    return contents, report_on(contents, prepared, progress=progress)


def write_report(report: Report, contents: Contents, prepared: Prepared, folder: Path) -> list[ExampleUser]:
    """report.json and report.html into a folder; returns the users that the page shows as examples."""
    report.save(folder / "report.json")
    examples = example_users(contents, prepared)
    write_page(report, folder, examples)
    return examples
