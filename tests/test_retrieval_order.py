"""The retrieval order is that of all sources together, or of the one that is better alone."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from funnel.artifacts import Store
from funnel.bundle.contents import Contents, load_contents
from funnel.evaluation import Report, compute
from funnel.evaluation.levers import advise
from funnel.pipeline.order import retrieval_order
from funnel.pipeline.report import evaluate, report_on
from funnel.stages import Retrieve
from funnel.types import Examples, Requests
from tests.tiny import TinyBuild

K = 10


@dataclass(frozen=True)
class Known:
    """A source that returns a list that is known for each request, by user and time."""

    name: str
    lists: dict[tuple[int, int], list[int]]

    def find(self, requests: Requests, k: int) -> Any:
        rows = np.full((len(requests), k), -1, dtype=np.int32)
        for row, key in enumerate(zip(requests.users.tolist(), requests.times.tolist(), strict=True)):
            found = self.lists[key][:k]
            rows[row, : len(found)] = found
        return rows, np.where(rows >= 0, -np.arange(k, dtype=np.float32), -np.inf).astype(np.float32)

    def score(self, requests: Requests, items: Any) -> Any:
        raise NotImplementedError


@dataclass(frozen=True)
class WithSources(Contents):
    """A bundle's contents with other sources."""

    given: tuple[Known, ...] = field(default=())

    def sources(self) -> Any:
        return list(self.given)


@pytest.fixture(scope="module")
def examples(built: TinyBuild) -> Examples:
    return built.prepared.split.ranker.take(np.arange(300))


def source(name: str, examples: Examples, chance: float, seed: int) -> Known:
    """Ten items a request; the target is the first of them by chance."""
    rng, lists = np.random.default_rng(seed), {}
    for row, key in enumerate(
        zip(examples.requests.users.tolist(), examples.requests.times.tolist(), strict=True)
    ):
        others = rng.permutation(200)[:K].tolist()
        target = int(examples.targets[row][0])
        rest = [one for one in others if one != target]
        lists[key] = [target, *rest][:K] if rng.random() < chance else others
    return Known(name, lists)


def contents(built: TinyBuild, *sources: Known) -> Contents:
    whole = load_contents(built.built.folder)
    return WithSources(**{**vars_of(whole), "given": sources})


def vars_of(whole: Contents) -> dict[str, Any]:
    return {name: getattr(whole, name) for name in Contents.__dataclass_fields__}


def test_a_source_that_is_better_alone_is_the_order(built: TinyBuild, examples: Examples) -> None:
    """Three that say the same outvote a better one; what only they find comes behind it, in their order."""
    good, same = source("good", examples, 0.6, 0), source("same", examples, 0.4, 1)
    many = [good, *(Known(f"same{number}", same.lists) for number in range(3))]
    made = contents(built, *many)
    order = retrieval_order(made, examples, seed=0)
    assert order.alone == "good"
    assert "that of good alone" in order.sentence()
    shortlist = Retrieve(many, K, order.weights)(examples.requests)
    np.testing.assert_array_equal(shortlist.items[:, :K], good.find(examples.requests, K)[0])
    behind = [[item for item in row if item >= 0] for row in shortlist.items[:, K:].tolist()]
    said = same.find(examples.requests, K)[0].tolist()
    firsts = good.find(examples.requests, K)[0].tolist()
    assert behind == [
        [one for one in row if one not in first] for row, first in zip(said, firsts, strict=True)
    ]
    merged = Retrieve(many, K)(examples.requests).items
    alone = compute("ndcg@10", shortlist.items, examples.targets).mean()
    assert alone > compute("ndcg@10", merged, examples.targets).mean()


def test_sources_that_help_each_other_are_merged(built: TinyBuild, examples: Examples) -> None:
    made = contents(built, source("one", examples, 0.5, 0), source("other", examples, 0.45, 1))
    order = retrieval_order(made, examples, seed=0)
    assert order.alone is None
    assert max(order.weights.values()) == 1.0
    assert min(order.weights.values()) > 0.5
    assert "none is better alone" in order.sentence()


def test_a_single_source_is_what_it_is(built: TinyBuild, examples: Examples) -> None:
    order = retrieval_order(contents(built, source("one", examples, 0.5, 0)), examples, seed=0)
    assert (order.alone, order.weights) == (None, {"one": 1.0})


def test_the_report_says_what_to_do_where_a_baseline_is_better(built: TinyBuild) -> None:
    report = built.built.report
    assert [one for one in report.advice if one.about == "part_better"] == []
    worse = []
    for one in report.comparisons:
        lost = one.difference.model_copy(update={"mean": -0.02, "lo": -0.04, "hi": -0.003, "better": False})
        worse.append(one.model_copy(update={"difference": lost}) if one.b == "co-visitation" else one)
    found = advise(report.model_copy(update={"comparisons": tuple(worse)}))
    (one,) = [one for one in found if one.about == "part_better"]
    assert 'sources = ["covisitation"]' in one.sentence


def test_a_bundle_knows_how_it_came_about(built: TinyBuild) -> None:
    """Its report says so, and so does one that is made again of the bundle."""
    report = built.built.report
    training, ranker = report.origin.training, report.origin.ranker
    assert training is not None
    assert ranker is not None
    assert (len(training.validation), training.most) == (6, 6)
    assert training.validation[training.best] == max(one or 0 for one in training.validation)
    assert (ranker.left_out, ranker.lists) == (None, 498)  # as many of each of three folds
    assert report.title.startswith("movies on ")
    assert Report.load(built.built.folder / "report.json").advice == report.advice
    again = evaluate(Store(built.indexes), "current", built.prepared)
    assert again.origin == report.origin
    assert [one.sentence for one in again.advice] == [one.sentence for one in report.advice]
    assert not (built.built.folder / "training.json").exists()


def test_a_source_of_any_name_has_a_row_of_its_own(built: TinyBuild) -> None:
    """Also one that is called as a row of the report is."""
    test = built.prepared.split.test
    made = contents(built, source("one", test, 0.5, 0), source("rank", test, 0.45, 1))
    report = report_on(replace(made, ranker=None, weights={}), built.prepared)
    names = [row.name for row in report.rows if row.kind == "baseline"]
    assert names[-2:] == ["one", "rank alone"]
