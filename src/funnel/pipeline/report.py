"""Evaluate a bundle on the test window, and write what was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from funnel import plugins
from funnel.artifacts import Manifest, Store
from funnel.bundle.contents import Contents, load_contents
from funnel.bundle.standing_filter import under
from funnel.config import EvaluateConfig
from funnel.data import Split
from funnel.engine import RANK
from funnel.errors import BundleError, ConfigError, DataError
from funnel.evaluation import Evaluation, Report, Subject
from funnel.evaluation import evaluate as measure_all
from funnel.evaluation.advice import Origin, RankerOutcome
from funnel.evaluation.frontier import Point, measure_settings
from funnel.evaluation.levers import advise
from funnel.evaluation.metrics import Metric
from funnel.evaluation.reliability import Reliability
from funnel.evaluation.walk import Observer
from funnel.gates.probabilities import measure_probabilities, observe_all, watched
from funnel.gates.shown import shown_outcomes
from funnel.index import FaissIndex
from funnel.pages.report import ExampleUser, write_page
from funnel.pipeline.competitors import alone, competing, truths
from funnel.pipeline.examples import example_users
from funnel.pipeline.prepare import Prepared
from funnel.pipeline.rules import costs_of_rules
from funnel.pipeline.value import ValueTally
from funnel.ranker.outcomes import Outcomes
from funnel.recipes import Recipe
from funnel.stages import TowerSource
from funnel.types import Requests
from funnel.values.nearest import hint

#: Queries that the settings of the index are measured with.
_QUERIES = 50


def report_on(
    contents: Contents,
    prepared: Prepared,
    *,
    origin: Origin | None = None,
    notes: Sequence[str] = (),
    progress: bool = False,
) -> Report:
    """Every stage of the bundle's funnel on the test window, beside the baselines and exact search; what to
    do next, as far as `origin` says how the bundle came about."""
    return measure_contents(contents, prepared, origin=origin, notes=notes, progress=progress).report


def measure_contents(
    contents: Contents,
    prepared: Prepared,
    *,
    origin: Origin | None = None,
    lists: Sequence[str] = (),
    notes: Sequence[str] = (),
    progress: bool = False,
) -> Evaluation:
    """The report, and what its figures are means of. lists: rows whose lists are kept; default the last
    stage. Raises: ConfigError for a row that there is not."""
    config, split, data = prepared.config, prepared.split, prepared.dataset
    test = under(contents, split.test)
    depth = max(config.evaluate.ks)
    again = Recipe(competing, contents, test.requests.shown is not None, config.evaluate.ks[0], depth)
    funnel, baselines, exact = again.work
    truth_scores, truth_values = truths(data)
    ideal = [] if truth_scores is None else ["ideal"]
    _are_rows(lists, [*baselines, *ideal, "exact", *funnel.names])
    worth = ValueTally.of(contents, config.evaluate.ks[0])
    outcomes = watched(contents, len(test), config.seed)
    result = measure_all(
        funnel=funnel,
        examples=test,
        subject=Subject(
            dataset=data.name, checksum=data.checksum(), windows=_windows(prepared), protocol=split.protocol
        ),
        popularity=np.bincount(split.test_statistics.items, minlength=len(contents.catalogue.ids)),
        baselines=baselines,
        exact=exact,
        approximate=alone(TowerSource(contents.queries, contents.index), depth),
        truth_scores=truth_scores,
        truth_values=truth_values,
        kinds=_target_kinds(split),
        also=_further(config.evaluate),
        lists=lists or funnel.names[-1:],
        observers=_observers(contents, outcomes, worth, funnel.names),
        ks=config.evaluate.ks,
        seed=config.seed,
        latency_requests=config.evaluate.latency_requests,
        config=config.model_dump(mode="json"),
        notes=[
            *data.notes,
            *notes,
            *costs_of_rules(contents, test, config.evaluate.ks[0], config.seed),
        ],
        progress=progress,
        again=again,
    )
    frontier = _frontier(contents, test.requests, config.seed)
    # Where nothing was found of what came, the rows above say it.
    happened = {name: of for name, of in outcomes.items() if of.labels.any()}
    probable = measure_probabilities(contents, data.schema, test, happened, config.seed)
    probable += _of_shown(contents, prepared)
    report = result.report.model_copy(update={"frontier": frontier, "origin": origin or Origin()})
    if worth is not None:
        report = report.valued(worth.means)
    report = report.model_copy(update={"advice": advise(report), "probabilities": probable})
    return replace(result, report=report).named(data.user_ids, data.item_ids)


def _target_kinds(split: Split) -> list[str | None]:
    """The kinds of events by code, None for one that is not to be found."""
    if split.kinds is None:
        return []
    pairs = zip(split.kinds.names, split.kinds.targets, strict=True)
    return [name if weight else None for name, weight in pairs]


def _observers(
    contents: Contents, outcomes: Mapping[str, Outcomes], worth: ValueTally | None, stages: Sequence[str]
) -> dict[str, Observer] | None:
    """What watches stages: the ranker's for probabilities, and all for what their lists are worth."""
    if not contents.heads:
        return None
    observe = observe_all(outcomes)
    return {RANK: observe} if worth is None else worth.observers(stages, observe)


def _of_shown(contents: Contents, prepared: Prepared) -> tuple[Reliability, ...]:
    """How right heads are that are of shown lists, on those of the test window."""
    lists = None if contents.propensities is None else prepared.test_lists
    if lists is None:
        return ()
    outcomes = shown_outcomes(contents, lists.examples)
    happened = {name: of for name, of in outcomes.items() if of.labels.any()}
    schema, seed = prepared.dataset.schema, prepared.config.seed
    return measure_probabilities(contents, schema, lists.examples, happened, seed)


def _are_rows(wanted: Sequence[str], rows: Sequence[str]) -> None:
    for name in wanted:
        if name not in rows:
            raise ConfigError(f"no row {name!r} in the report; {hint(name, rows)}")


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
    return measure_settings(contents.index, contents.vectors, contents.queries.encode(some))


def _windows(prepared: Prepared) -> str:
    """How the events were divided, in words."""
    split = prepared.split
    if split.kind == "time":
        ranker, test = (
            pd.Timestamp(int(part.requests.times.min()), unit="s").date()
            for part in (split.ranker, split.test)
        )
        return f"global time: towers before {ranker}, ranker before {test}, test after"
    if split.kind == "leave_one_out":
        return "leave one out: each user's last item is the test, the one before it the ranker's"
    return "published split: a tenth of each user's training items is the ranker's"


def ranker_is_better(report: Report) -> bool:
    """Whether the ranked order beats the retrieval order on the test window, interval and all."""
    return report.comparison("rank", "retrieve").difference.better


def evaluate(
    store: Store | str | Path, version: str, prepared: Prepared, *, progress: bool = False
) -> Report:
    """The report on a bundle of the store, measured on the test window of `prepared`.

    store: or its folder. version: "current" is the published one. Raises: see `measure`.
    """
    return measure(store, version, prepared, progress=progress).report


def measure(
    store: Store | str | Path,
    version: str,
    prepared: Prepared,
    *,
    lists: Sequence[str] = (),
    progress: bool = False,
) -> Evaluation:
    """The report on a bundle, and what its figures are means of: each request's own, and the lists.

    store: or its folder. version: "current" is the published one. lists: rows of the report whose
    lists are kept, four bytes a position; default the last stage, which is what is shown.
    Raises: BundleError when the bundle is damaged or was made for data of another schema or other items,
    ConfigError for a row that there is not.
    """
    return evaluate_bundle(Store.of(store), version, prepared, lists=lists, progress=progress)[1]


def evaluate_bundle(
    store: Store, version: str, prepared: Prepared, *, lists: Sequence[str] = (), progress: bool = False
) -> tuple[Contents, Evaluation]:
    """A bundle of the store, verified, loaded, and measured on the test window; see `measure`."""
    version = store.current() if version == "current" else version
    manifest = store.verify(version)
    fingerprint = prepared.dataset.schema.fingerprint()
    if manifest.schema_fingerprint != fingerprint:
        raise BundleError(
            f"bundle {version} was made for data of another schema ({manifest.schema_fingerprint[:12]}) "
            f"than {prepared.dataset.name} has ({fingerprint[:12]}); build one from this data first"
        )
    contents = load_contents(store.path(version), manifest.towers_fingerprint)
    if not np.array_equal(contents.catalogue.ids.values, prepared.dataset.item_ids):
        raise BundleError(
            f"bundle {version} has {len(contents.catalogue.ids)} items, {prepared.dataset.name} has "
            f"{len(prepared.dataset.items)} or other ones; build a bundle from this data first"
        )
    origin = _origin(store.path(version), manifest)
    return contents, measure_contents(contents, prepared, origin=origin, lists=lists, progress=progress)


def _origin(folder: Path, manifest: Manifest) -> Origin:
    """How a bundle came about: as its own report says; without one, what the manifest has."""
    try:
        return Report.load(folder / "report.json").origin
    except DataError:
        left_out = ", ".join(manifest.fallback)
        return Origin(ranker=RankerOutcome(left_out=left_out) if left_out else None)


def write_report(report: Report, contents: Contents, prepared: Prepared, folder: Path) -> list[ExampleUser]:
    """report.json and report.html into a folder; returns the users that the page shows as examples."""
    report.save(folder / "report.json")
    examples = example_users(contents, prepared)
    write_page(report, folder, examples)
    return examples
