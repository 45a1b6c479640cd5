"""What a report says to do: where a part beats the whole, where learning stopped, what each stage loses."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from funnel.evaluation import Difference, Report
from funnel.evaluation.advice import Advice, Origin, RankerOutcome, Training
from funnel.evaluation.levers import advise
from funnel.evaluation.losses import kept

CONFIG: dict[str, Any] = {
    "name": "shop",
    "split": {"kind": "time"},
    "retrieve": {"sources": ["towers", "popular"], "k": 100},
    "ranker": {"trees": 300, "lists": 1000},
    "towers": {"epochs": 6},
}


def of(report: Report, **changes: Any) -> tuple[Advice, ...]:
    return advise(report.model_copy(update={"config": CONFIG, **changes}))


def about(found: tuple[Advice, ...], what: str) -> list[Advice]:
    return [one for one in found if one.about == what]


def lost(report: Report, a: str, b: str, by: float) -> Report:
    """The report, with row a worse than row b by so much."""
    worse = Difference(mean=-by, lo=-2 * by, hi=-by / 2, better=False)
    found = [
        one.model_copy(update={"difference": worse, "sentence": f"{a} is worse than {b}"})
        if (one.a, one.b) == (a, b)
        else one
        for one in report.comparisons
    ]
    return report.model_copy(update={"comparisons": tuple(found)})


def trained(*validation: float | None, best: int, most: int = 6) -> Origin:
    return Origin(training=Training(validation=validation, best=best, most=most))


def test_measured_gains_come_first_and_the_largest_is_the_first(report: Report) -> None:
    made = lost(lost(report, "rank", "popular", 0.001), "rank", "co-visitation", 0.002)
    found = of(made, origin=trained(0.1, 0.2, 0.1, best=1))
    assert [one.measured for one in found] == sorted((one.measured for one in found), reverse=True)
    for measured in (True, False):
        gains = [one.gain for one in found if one.measured is measured and one.gain is not None]
        assert all(a >= b for a, b in pairwise(gains))
        assert gains


@pytest.mark.parametrize(
    ("a", "b", "source"),
    [
        ("rank", "popular", "popular"),
        ("rank", "co-visitation", "covisitation"),
        ("rerank", "exact", "towers"),
    ],
)
def test_a_part_that_is_better_than_the_whole(report: Report, a: str, b: str, source: str) -> None:
    assert about(of(report), "part_better") == []
    (one,) = about(of(lost(report, a, b, 0.02)), "part_better")
    assert (one.key, one.gain, one.measured) == ("retrieve.sources", 0.02, True)
    assert f'sources = ["{source}"]' in one.sentence
    assert ("the gate `baselines` holds this" in one.sentence) == (source != "covisitation")


def test_a_baseline_that_orders_better_than_retrieval_and_is_no_source(report: Report) -> None:
    made = lost(report, "retrieve", "co-visitation", 0.02)
    (one,) = [one for one in about(of(made), "retrieve") if one.key == "retrieve.sources"]
    assert "`covisitation` is none of the `sources`" in one.sentence
    has = {**CONFIG, "retrieve": {"sources": ["towers", "covisitation", "popular"], "k": 100}}
    again = advise(made.model_copy(update={"config": has}))
    assert [one for one in about(again, "retrieve") if one.key == "retrieve.sources"] == []


def test_diversity_that_costs(report: Report) -> None:
    (one,) = about(of(lost(report, "rerank", "rank", 0.01)), "rerank")
    assert (one.key, one.measured) == ("rerank.trade_off", True)


def test_towers_that_were_still_learning(report: Report) -> None:
    (one,) = about(of(report, origin=trained(0.1, 0.12, 0.13, 0.15, 0.16, 0.18, best=5)), "training")
    assert one.key == "towers.epochs"
    assert "after epoch 6 of 6" in one.sentence
    assert "allow 12" in one.sentence
    assert one.gain == pytest.approx(report.rows[-1].metrics["ndcg@10"].mean * (0.18 / 0.16 - 1))


@pytest.mark.parametrize(
    ("origin", "key", "words"),
    [
        (trained(0.2, 0.1, 0.1, best=0), "towers.lr", "worse after it"),
        (trained(0.2, 0.201, 0.2, best=1), "towers.lr", "hardly above the first"),
        (trained(0.2, best=0, most=1), "towers.epochs", "epoch 1 of 1"),
        (trained(0.0, 0.0, best=0), "towers.lr", ".0000"),
    ],
)
def test_towers_that_learned_little(report: Report, origin: Origin, key: str, words: str) -> None:
    (one,) = about(of(report, origin=origin), "training")
    assert (one.key, one.gain) == (key, None)
    assert words in one.sentence


@pytest.mark.parametrize(
    "origin",
    [
        Origin(),
        trained(None, None, best=1),
        trained(0.1, 0.2, 0.19, best=1),
        trained(0.1, 0.2, best=1, most=9),
    ],
)
def test_towers_that_learned_or_say_nothing(report: Report, origin: Origin) -> None:
    assert about(of(report, origin=origin), "training") == []


def test_a_ranker_that_was_left_out(report: Report) -> None:
    verdict = Difference(mean=-0.001, lo=-0.004, hi=0.002, better=False)
    said = "it was not better than the retrieval order"
    outcome = RankerOutcome(left_out=said, held_out=verdict, lists=50, positives=70, missed=30)
    found = of(report, origin=Origin(ranker=outcome))
    (one,) = about(found, "ranker")
    assert one.key == "split.ranker"
    assert said in one.sentence
    assert "[\N{MINUS SIGN}.0040, .0020]" in one.sentence
    assert "of 100 positives there, 30 were not retrieved" in one.sentence
    assert about(found, "order") == []


def test_a_bundle_without_a_ranker_that_does_not_say_why(report: Report) -> None:
    rows = tuple(row for row in report.rows if row.name != "rank")
    (one,) = about(of(report, rows=rows, comparisons=()), "ranker")
    assert "does not say why" in one.sentence


@pytest.mark.parametrize(
    ("outcome", "kind", "key"),
    [
        (RankerOutcome(left_out=None, lists=1000, trees=100), "time", "ranker.lists"),
        (RankerOutcome(left_out=None, lists=300, trees=300), "time", "ranker.trees"),
        (RankerOutcome(left_out=None, lists=300, trees=100), "time", "split.ranker"),
        (RankerOutcome(left_out=None, lists=300, trees=100), "leave_one_out", "features.also"),
        (RankerOutcome(left_out="few users", lists=0), "given", "features.also"),
    ],
)
def test_what_gives_the_ranker_more(report: Report, outcome: RankerOutcome, kind: str, key: str) -> None:
    """A key that the config's own split would refuse is none to name."""
    made = {**CONFIG, "split": {"kind": kind}}
    found = advise(report.model_copy(update={"config": made, "origin": Origin(ranker=outcome)}))
    (one,) = [one for one in found if one.about in ("order", "ranker")]
    assert one.key == key


def test_what_is_left_behind_each_stage_adds_up(report: Report) -> None:
    found = kept(report)
    assert [one.stage for one in found] == ["retrieve", "filter", "rank", "rerank"]
    assert sum(one.lost for one in found) + found[-1].share == pytest.approx(1)
    assert found[0].share == report.row("retrieve").recall.mean


def test_a_perfect_stage_is_a_ceiling(report: Report) -> None:
    """What retrieval could win at most is what it lost, at the rate of what it found."""
    final, found = report.rows[-1].metrics["ndcg@10"].mean, report.row("retrieve").recall.mean
    (one,) = [one for one in about(of(report), "retrieve") if not one.measured]
    assert one.gain is not None
    assert (final + one.gain) * found == pytest.approx(final)
    (short,) = about(of(report), "shortlist")
    assert short.key == "retrieve.k"


def test_search_that_finds_too_little(report: Report) -> None:
    assert about(of(report, search_recall={10: 0.99, 100: 0.96}), "search") == []
    (one,) = about(of(report, search_recall={10: 0.99, 100: 0.8}), "search")
    assert one.key == "index.recall"
    assert "80.0% of the first 100" in one.sentence


def test_every_key_is_one_of_the_config(report: Report) -> None:
    from funnel.reference import keys

    known = {one.name for one in keys()}
    outcomes = [None, RankerOutcome(left_out="x"), RankerOutcome(left_out=None, trees=300)]
    origins = [trained(0.1, 0.2, best=1, most=2).model_copy(update={"ranker": one}) for one in outcomes]
    made = lost(lost(report, "rank", "popular", 0.01), "rerank", "rank", 0.01)
    said = {one.key for origin in origins for one in of(made, origin=origin, search_recall={10: 0.5})}
    assert len(said) >= 6
    assert said <= known
