"""Measures a funnel and its competitors on the same requests, and makes the report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Container, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from funnel.distinct import distinct
from funnel.errors import ConfigError, DataError
from funnel.evaluation.bootstrap import paired
from funnel.evaluation.chance import chance_level, drawn_level
from funnel.evaluation.cold import cold_figures
from funnel.evaluation.compare import Comparison, compare, pairs
from funnel.evaluation.evaluation import Evaluation
from funnel.evaluation.ideal import TruthScores, best_by_truth, true_gains
from funnel.evaluation.kinds import kind_figures
from funnel.evaluation.machine import machine, versions
from funnel.evaluation.metrics import Float64, Metric
from funnel.evaluation.report import Report, Subject
from funnel.evaluation.rows import Latency, Row, make_rows, row_values, with_intervals
from funnel.evaluation.search import search_recall
from funnel.evaluation.some import ServedLists
from funnel.evaluation.walk import (
    Competitor,
    Kind,
    Observer,
    Recommend,
    RowTally,
    Traced,
    one_step,
    time_each,
    walk,
)
from funnel.recipes import Recipe
from funnel.types import Examples, Int32, Requests


def evaluate(
    *,
    funnel: Traced,
    examples: Examples,
    subject: Subject,
    popularity: NDArray[Any],
    baselines: Mapping[str, Recommend],
    exact: Recommend | None = None,
    approximate: Recommend | None = None,
    truth_scores: TruthScores | None = None,
    truth_values: TruthScores | None = None,
    kinds: Sequence[str | None] = (),
    also: Mapping[str, Metric] | None = None,
    lists: Collection[str] = (),
    observers: Mapping[str, Observer] | None = None,
    ks: Sequence[int] = (10, 100, 500),
    seed: int,
    resamples: int = 1000,
    latency_requests: int = 200,
    config: Mapping[str, JsonValue] | None = None,
    notes: Sequence[str] = (),
    progress: bool = False,
    again: Recipe | None = None,
) -> Evaluation:
    """Measure a funnel and its competitors on the same requests.

    funnel: its stages become a row each. examples: requests and the item rows that count as right.
    subject: what is measured, for the report.
    popularity: [n_items], events of each item known before the requests; its length is the catalogue's size.
    baselines: competitors by name, a row each.
    exact: the towers over every item, without an index; with `approximate`, the same towers through the
        index, the recall of the search itself is measured.
    truth_scores: requests -> true scores [B, n_items], where the world is known; adds the row `ideal`.
    truth_values: requests -> what each item is truly expected to earn, of which rows then have a share, too.
    kinds: names of the kinds of events by code, None for one that is no target's; for figures of each.
    also: metrics beside funnel's own, by name. lists: names of the rows whose lists are kept.
    observers: what gets the candidates of a stage, by its name.
    ks: depths; the first is the length of the list that is shown, at which everything is measured.
    seed, resamples: of the bootstrap; the seed draws the requests that are timed, too.
    latency_requests: how many requests are timed one at a time, from this thread.
    config, notes: copied into the report.
    again: makes `funnel`, `baselines` and `exact` once more, in another process, so that workers can answer.
    Raises: DataError where there is no request, ConfigError for bad ks or a name that two rows share.
    """
    ks = _depths(examples, ks)
    n_items, users = len(popularity), examples.requests.users
    ideal = None if truth_scores is None else best_by_truth(truth_scores, n_items, ks[-1])
    others = _others(funnel, baselines, exact)
    best = [] if ideal is None else [one_step("ideal", "ideal", ideal)]
    last = [Competitor("stage", funnel.trace)]
    competitors = sorted([*others, *best], key=_in_the_report) + last
    clocks = [_seconds(each, examples.requests, latency_requests, seed) for each in competitors]
    walked = partial(
        walk,
        examples=examples,
        n_items=n_items,
        k=ks[0],
        gains=None if truth_scores is None else true_gains(truth_scores),
        values=truth_values,
        lists=lists,
    )
    known: dict[str, Any] = {"observers": observers, "progress": progress}
    tallies = [
        *walked(others if again is None else Recipe(_some, _others, again), timed=False),
        *(walked(best, timed=False) if best else ()),
        *walked(last if again is None else Recipe(_some, _served_stages, again), **known),
    ]
    tallies.sort(key=_in_the_report)
    _distinct(tallies)
    served = _served(tallies, examples, n_items, ks[0], seed, resamples)
    rows, comparisons = _rows(tallies, served, ks, also or {}, popularity, clocks)
    report = Report(
        subject=subject,
        requests=len(examples),
        targets=len(examples.targets.values),
        users=len(distinct(users[users >= 0])) + int((users < 0).sum()),
        items=n_items,
        ks=ks,
        resamples=resamples,
        seed=seed,
        rows=tuple(rows),
        comparisons=comparisons,
        chance=_chance(rows, also or {}, served),
        cold=cold_figures(served, popularity),
        kinds=kind_figures(served, kinds),
        search_recall=search_recall(exact, approximate, examples.requests, ks, seed),
        latency=Latency.of(clocks[-1].sum(axis=1)),
        throughput=len(examples) / max(sum(t.seconds for t in tallies if t.kind == "stage"), 1e-9),
        notes=tuple(notes),
        config=dict(config or {}),
        versions=versions(),
        machine=machine(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    return Evaluation(
        report=report,
        users=users,
        times=examples.requests.times,
        targets=examples.targets,
        positions=served.positions,
        widths=served.widths,
        lists={tally.name: tally.all_lists() for tally in tallies if tally.keep},
        further=dict(also or {}),
    )


def _served(
    tallies: Sequence[RowTally], examples: Examples, n_items: int, k: int, seed: int, resamples: int
) -> ServedLists:
    """Where each row's lists have what was right."""
    positions = {tally.name: tally.all_positions(examples.targets.offsets) for tally in tallies}
    widths = {tally.name: tally.width for tally in tallies}
    return ServedLists(positions, widths, examples, n_items, k, seed, resamples)


def _rows(
    tallies: Sequence[RowTally],
    served: ServedLists,
    ks: Sequence[int],
    also: Mapping[str, Metric],
    popularity: NDArray[Any],
    clocks: Sequence[Float64],
) -> tuple[list[Row], tuple[Comparison, ...]]:
    """The report's rows, and how they compare by NDCG at the depth that is shown. clocks: seconds of each
    competitor's steps, [n, steps]."""
    users = served.examples.requests.users
    values = {
        name: row_values(positions, ks, served.widths[name], also)
        for name, positions in served.positions.items()
    }
    rows = make_rows(
        tallies,
        positions=served.positions,
        values=with_intervals(values, users, seed=served.seed, resamples=served.resamples),
        popularity=popularity,
        seconds=[column for clock in clocks for column in clock.T],
    )
    metric = f"ndcg@{served.k}"
    decisive = {name: figures[metric] for name, figures in values.items()}
    return rows, _comparisons(rows, metric, decisive, users, served.seed, served.resamples)


def _chance(rows: Sequence[Row], also: Mapping[str, Metric], served: ServedLists) -> dict[str, float]:
    """What lists in a random order have: exact for funnel's own metrics, drawn for others."""
    return {
        **chance_level(_with_a_chance(rows, also), served.examples, served.n_items),
        **drawn_level(also, served.k, served.examples, served.n_items, served.seed),
    }


def _depths(examples: Examples, ks: Sequence[int]) -> tuple[int, ...]:
    """The depths, distinct and rising. Raises: see `evaluate`."""
    if len(examples) == 0:
        raise DataError("nothing to evaluate: no request has a target; the test window may be empty")
    if not ks or min(ks) < 1:
        raise ConfigError(f"ks must be depths of at least 1, e.g. (10, 100, 500); they are {tuple(ks)}")
    return tuple(sorted(set(ks)))


def _others(funnel: Traced, baselines: Mapping[str, Recommend], exact: Recommend | None) -> list[Competitor]:
    """What the funnel is held against."""
    competitors = [one_step("baseline", name, recommend) for name, recommend in baselines.items()]
    return [*competitors, *([one_step("exact", "exact", exact)] if exact else [])]


def _served_stages(
    funnel: Traced, baselines: Mapping[str, Recommend], exact: Recommend | None
) -> list[Competitor]:
    return [Competitor("stage", funnel.trace)]


def _some(choose: Callable[..., list[Competitor]], again: Recipe) -> list[Competitor]:
    return choose(*again.work)


def _in_the_report(row: Competitor | RowTally) -> int:
    """Where rows of a kind stand; those of one kind keep their order."""
    return get_args(Kind).index(row.kind)


def _with_a_chance(rows: Sequence[Row], also: Container[str]) -> list[str]:
    """The metrics whose expectation for a random order is known: funnel's own."""
    names = dict.fromkeys(name for row in rows for name in row.metrics)
    return [name for name in names if name.partition("@")[0] not in also]


def _comparisons(
    rows: Sequence[Row], metric: str, values: Mapping[str, Float64], users: Int32, seed: int, resamples: int
) -> tuple[Comparison, ...]:
    """Rows compared on one metric. values: by row, float64 [B]."""
    return tuple(
        compare(a, b, metric, paired(values[a], values[b], users, seed=seed, resamples=resamples))
        for a, b in pairs(rows, metric)
    )


def _seconds(competitor: Competitor, requests: Requests, n: int, seed: int) -> Float64:
    """Seconds of each step for requests on their own: float64 [n, steps]; the ideal is not timed.

    The sample is the same for every competitor.
    """
    if competitor.kind == "ideal":
        return np.empty((0, 1))
    sample = np.random.default_rng(seed).permutation(len(requests))[: max(n, 1)]
    return time_each(competitor, requests.take(sample))


def _distinct(tallies: Sequence[RowTally]) -> None:
    """Raises: ConfigError for a name that two rows share."""
    twice = [name for name, times in Counter(tally.name for tally in tallies).items() if times > 1]
    if twice:
        raise ConfigError(
            f"two rows of the report would be called {twice[0]!r}; baselines and stages need own names"
        )
