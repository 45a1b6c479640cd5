"""The report: order and denominators of its rows, what is compared, and that it survives JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from stub_world import StubFunnel, World, measured

from funnel.allow import Allow
from funnel.errors import ConfigError, DataError
from funnel.evaluation import Report, compute, paired
from funnel.evaluation.walk import Competitor, walk
from funnel.types import Candidates, Examples, Ragged


def first_item(requests) -> Candidates:
    """Row 0 for everyone."""
    shape = (len(requests), 1)
    blank = np.zeros((*shape, 0))
    return Candidates(np.zeros(shape, np.int32), np.zeros(shape, np.float32), (), blank, blank)


def test_rows_stand_in_walking_order(report):
    names = ["popular", "co-visitation", "ideal", "exact", "retrieve", "filter", "rank", "rerank"]
    assert [row.name for row in report.rows] == names
    assert [row.kind for row in report.rows] == ["baseline"] * 2 + ["ideal", "exact"] + ["stage"] * 4


def test_figures_are_those_of_the_whole_batch(report, world):
    """Batches, positions and sums give what one plain pass over all lists gives."""
    lists = {step.name: step.candidates for step in StubFunnel(world).trace(world.examples.requests)}
    for name, found in lists.items():
        row = report.row(name)
        for metric, value in row.metrics.items():
            slow = compute(metric, found.items, world.examples.targets)
            assert value.mean == pytest.approx(slow.mean())
            assert value.lo <= value.mean <= value.hi
        assert row.candidates_out == pytest.approx(found.filled.sum(axis=1).mean())
        assert row.coverage == len(np.unique(found.items[:, :10][found.items[:, :10] >= 0])) / 400


def test_positives_are_lost_once_and_stay_in_the_denominator(report, world):
    stages = [row for row in report.rows if row.kind == "stage"]
    left = report.targets
    for row in stages:
        left -= row.lost
        assert row.hits == left
        wanted, found = world.examples.targets, row.recall.mean
        assert found <= 1
        assert row.hits <= len(wanted.values)
    assert report.row("retrieve").lost > 0
    assert report.row("filter").lost > 0
    assert report.row("rank").lost == 0
    assert report.row("rerank").metrics["recall@10"].mean == report.row("rank").metrics["recall@10"].mean
    assert report.row("popular").lost is None


def test_a_filter_that_drops_a_target_lowers_every_later_figure(world):
    """A target that is gone stands in the denominator, so recall is capped by what retrieval found."""
    cap = measured(world, funnel=StubFunnel(world, shortlist=20))
    retrieved = cap.row("retrieve").recall.mean
    assert all(row.recall.mean <= retrieved for row in cap.rows if row.kind == "stage")


def test_candidates_in_are_those_that_came_out_before(report):
    stages = [row for row in report.rows if row.kind == "stage"]
    assert stages[0].candidates_in == report.items == 400
    for before, row in pairwise(stages):
        assert row.candidates_in == before.candidates_out


def test_depths_beyond_a_row_are_left_out(report):
    assert set(report.row("rerank").metrics) == {"ndcg@10", "recall@10", "mrr@10", "map@10", "hit_rate@10"}
    assert "recall@100" in report.row("retrieve").metrics
    assert "recall@50" not in report.row("co-visitation").metrics
    assert max(report.row("retrieve").curve) == 100


def test_comparisons_say_what_their_intervals_say(report, world):
    asked = [(c.a, c.b) for c in report.comparisons]
    assert asked == [
        ("rank", "retrieve"),
        ("rank", "popular"),
        ("rank", "co-visitation"),
        ("rerank", "rank"),
        ("retrieve", "co-visitation"),
        ("rerank", "exact"),
    ]
    lists = {step.name: step.candidates.items for step in StubFunnel(world).trace(world.examples.requests)}
    ndcg = {name: compute("ndcg@10", items, world.examples.targets) for name, items in lists.items()}
    found = report.comparison("rank", "retrieve")
    slow = paired(ndcg["rank"], ndcg["retrieve"], world.examples.requests.users, seed=7, resamples=200)
    assert found.difference == slow
    assert found.difference.better
    assert found.sentence.startswith("rank is better than retrieve on NDCG@10: +.")
    assert report.comparison("rerank", "rank").sentence.startswith("rerank is the same as rank on NDCG@10")
    with pytest.raises(KeyError, match="not compared"):
        report.comparison("filter", "popular")


def test_a_harmful_ranker_is_called_worse_and_an_idle_one_not_better(world):
    class Shuffling(StubFunnel):
        def _rank(self, requests, found):
            return found.ranked_by(-found.scores)

    class Blurring(StubFunnel):
        def _rank(self, requests, found):
            noise = np.random.default_rng(1).normal(size=found.scores.shape) * 0.02
            return found.ranked_by((found.scores + noise).astype(np.float32))

    worse = measured(world, funnel=Shuffling(world)).comparison("rank", "retrieve")
    assert worse.difference.worse
    assert "rank is worse than retrieve" in worse.sentence
    idle = measured(world, funnel=Blurring(world), resamples=400)
    filtered = idle.row("filter").metrics["ndcg@10"].mean
    assert idle.row("rank").metrics["ndcg@10"].mean == pytest.approx(filtered, abs=0.01)
    assert not idle.comparison("rank", "retrieve").difference.better


def test_the_truth_is_asked_for_few_requests_at_a_time(report, world, monkeypatch):
    """True numbers of all items, of all requests of a batch, were 18 GiB for ten million items."""
    asked = []

    def scores(requests):
        asked.append(len(requests))
        return world.scores(requests)

    monkeypatch.setattr("funnel.evaluation.ideal._SCORES", 400 * 11)
    other = measured(world, truth_scores=scores)
    assert max(asked) == 11
    for row, same in zip(report.rows, other.rows, strict=True):
        assert row.share_of_ideal == pytest.approx(same.share_of_ideal)
    monkeypatch.setattr("funnel.evaluation.ideal._SCORES", 1)
    asked.clear()
    measured(world, truth_scores=scores)
    assert max(asked) == 8


def test_share_of_ideal_is_one_for_the_ideal_and_grows_with_the_ranker(report):
    assert report.row("ideal").share_of_ideal == 1
    assert report.row("retrieve").share_of_ideal < report.row("rank").share_of_ideal < 1
    assert report.row("ideal").latency is None


def test_ideal_obeys_exclude_and_allow(world):
    from funnel.evaluation.ideal import best_by_truth

    allow = np.arange(400) % 2 == 0
    requests = replace(world.examples.requests, allow=Allow.of(allow, len(world.examples)))
    found = best_by_truth(world.scores, 400, 10)(requests)
    scores = world.truth.copy()
    scores[:, ~allow] = -np.inf
    scores[requests.exclude.list_of, requests.exclude.values] = -np.inf
    np.testing.assert_array_equal(found.items, np.argsort(-scores, axis=1, kind="stable")[:, :10])
    nothing = best_by_truth(world.scores, 400, 10)(
        replace(requests, allow=Allow.of(np.zeros(400, dtype=bool), len(requests)))
    )
    assert (nothing.items == -1).all()


def test_auc_of_an_order_equals_the_scored_one(report, world):
    from funnel.evaluation.scored import auc_by_group

    found = StubFunnel(world).trace(world.examples.requests)[2].candidates
    labels = [np.isin(row[row >= 0], world.examples.targets[i]) for i, row in enumerate(found.items)]
    scores = np.concatenate([-np.arange(len(label)) for label in labels])
    slow = auc_by_group(np.concatenate(labels), scores, np.array([len(label) for label in labels]))
    assert report.row("rank").auc == pytest.approx(np.nanmean(slow))


def test_search_recall_counts_items_and_is_absent_without_both(report, world):
    exact = world.by(world.noisy(1.0, 1), 50)
    half = lambda requests: Candidates.keep(exact(requests), exact(requests).items % 2 == 0)  # noqa: E731
    shares = measured(world, exact=exact, approximate=half).search_recall
    even = np.mean([np.mean(row % 2 == 0) for row in exact(world.examples.requests).items])
    assert shares[50] == pytest.approx(even)
    assert 100 not in shares  # deeper than exact search went
    assert all(0.5 < share < 1 for share in report.search_recall.values())
    assert measured(world, approximate=None).search_recall is None


def test_users_with_several_requests_are_resampled_together(world):
    rows = np.repeat(np.arange(len(world.examples)), 4)
    once, often = measured(world), measured(world, world.examples.take(rows))
    assert (often.requests, often.users) == (4 * once.requests, once.users)
    a, b = (r.row("rank").metrics["ndcg@10"] for r in (once, often))
    assert a.mean == pytest.approx(b.mean)
    assert b.hi - b.lo == pytest.approx(a.hi - a.lo, rel=0.25)  # four copies of a user tell nothing new


def test_unknown_users_count_one_each(world):
    requests = replace(world.examples.requests, users=np.full(300, -1, dtype=np.int32))
    funnel = SimpleNamespace(
        trace=lambda r: [SimpleNamespace(name="one", candidates=first_item(r), seconds=1e-4)]
    )
    found = measured(
        world,
        Examples(requests, world.examples.targets),
        funnel=funnel,
        baselines={},
        exact=None,
        truth_scores=None,
    )
    assert found.users == 300
    assert [row.name for row in found.rows] == ["one"]
    assert found.comparisons == ()


def test_json_round_trip(world, tmp_path):
    report = measured(world, config={"towers": {"d": 64, "loss": None}}, notes=["kept"])
    assert report.notes == ("kept",)
    report.save(tmp_path / "report.json")
    assert Report.load(tmp_path / "report.json") == report
    (tmp_path / "other.json").write_text('{"rows": 1}')
    with pytest.raises(DataError, match=r"other\.json is not a report"):
        Report.load(tmp_path / "other.json")
    with pytest.raises(DataError, match="No such file"):
        Report.load(tmp_path / "none.json")


def test_same_seed_same_figures(report, world):
    again = measured(world)
    timed = {"latency", "throughput"}
    assert [r.model_dump(exclude=timed) for r in again.rows] == [
        r.model_dump(exclude=timed) for r in report.rows
    ]
    assert again.comparisons == report.comparisons


def test_latency_is_of_single_requests_and_the_whole_is_the_sum(world):
    asked = []

    def trace(requests):
        asked.append(len(requests))
        one = first_item(requests)
        return [
            SimpleNamespace(name=name, candidates=one, seconds=ms / 1000) for name, ms in (("a", 2), ("b", 3))
        ]

    report = measured(
        world,
        funnel=SimpleNamespace(trace=trace),
        exact=None,
        truth_scores=None,
        baselines={},
        latency_requests=20,
    )
    assert asked[:23] == [1] * 23  # three to warm up
    assert report.row("a").latency.p50 == pytest.approx(2)
    assert report.latency.p99 == pytest.approx(5)
    batches = len(asked) - 23
    assert report.row("b").throughput == pytest.approx(300 / (batches * 0.003))


def test_memory_is_bounded_by_the_batch(world):
    sizes = []

    def trace(requests):
        sizes.append(len(requests))
        return StubFunnel(world).trace(requests)

    many = world.examples.take(np.arange(900) % 300)
    walk([Competitor("stage", trace)], many, 400, 10)
    assert max(sizes) <= 256
    assert sum(sizes) == 900


def test_bad_input(world):
    with pytest.raises(DataError, match="nothing to evaluate"):
        measured(world, world.examples.take(np.empty(0, dtype=int)))
    with pytest.raises(ConfigError, match="at least 1"):
        measured(world, ks=(0, 10))
    with pytest.raises(ConfigError, match="called 'rank'"):
        measured(world, baselines={"rank": world.popular(10)})


def test_one_item():
    tiny = World(np.ones((2, 1), np.float32), World.make(2, 30, 1).examples, np.array([3]))
    blank = Ragged.empty(2)
    requests = replace(
        tiny.examples.requests, history=blank, history_times=Ragged.empty(2, np.int64), exclude=None
    )
    report = measured(tiny, Examples(requests, Ragged.from_lists([[0], [0]])), ks=(10,))
    assert report.row("rank").metrics["ndcg@10"].mean == 1
    assert report.chance["ndcg@10"] == pytest.approx(1)


def test_a_report_of_an_earlier_version_is_read(world, tmp_path):
    """Its subject had `windows` as "protocol" and `protocol` as "reading", rows "found", it "made"."""
    report = measured(world)
    raw = json.loads(report.model_dump_json())
    subject = raw["subject"]
    subject["reading"], subject["protocol"] = subject["protocol"], subject.pop("windows")
    raw["made"] = raw.pop("created")
    for row in raw["rows"]:
        row["found"] = row.pop("hits")
    (tmp_path / "report.json").write_text(json.dumps(raw))
    assert Report.load(tmp_path / "report.json") == report
