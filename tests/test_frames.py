"""Answers, reports, comparisons, profiles and differences as DataFrames, and as tables in notebooks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import funnel
from funnel.evaluation.bootstrap import paired
from funnel.evaluation.compare import compare
from tests.tiny import TinyBuild

HOSTILE = "<img src=x onerror=alert(1)>&amp;\"'</td></table><script>$x$"

#: What a table is made of; anything else came from a value.
TAGS = {"table", "thead", "tbody", "tr", "th", "td", "p"}


class Seen(HTMLParser):
    """Tags, attributes and text of a piece of HTML."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def answer(built: TinyBuild) -> Iterator[Any]:
    live = funnel.Live(built.indexes)
    yield live.recommend(7, k=10)
    live.close()


def test_an_answer_has_a_row_for_each_item(answer: Any) -> None:
    frame = answer.to_frame()
    assert list(frame.index) == list(range(1, 11))
    for item, (_, row) in zip(answer.items, frame.iterrows(), strict=True):
        assert (row["item_id"], row["score"], tuple(row["reasons"])) == (
            item.item_id,
            item.score,
            item.reasons,
        )
        ranks = {name: row[f"sources.{name}"] for name in ("towers", "popular") if f"sources.{name}" in frame}
        assert {name: rank for name, rank in ranks.items() if not pd.isna(rank)} == dict(item.sources)
        assert row["attributes.title"] == item.attributes["title"]


def test_an_answer_without_items_is_an_empty_frame(answer: Any) -> None:
    frame = replace(answer, items=()).to_frame()
    assert len(frame) == 0
    assert list(frame) == ["item_id", "score", "reasons"]


def test_comparisons_are_rows(built: TinyBuild) -> None:
    report = built.built.report
    frame = report.to_frame("comparisons")
    assert len(frame) == len(report.comparisons) > 1
    one = report.comparison("rank", "retrieve") if "rank" in set(frame["a"]) else report.comparisons[0]
    row = frame[(frame["a"] == one.a) & (frame["b"] == one.b)].iloc[0]
    said = one.difference
    assert (row["mean"], row["lo"], row["hi"], row["better"]) == (said.mean, said.lo, said.hi, said.better)
    pd.testing.assert_frame_equal(one.to_frame(), frame.loc[[row.name]].reset_index(drop=True))


def test_a_frame_that_there_is_not_is_refused_with_the_nearest(built: TinyBuild) -> None:
    with pytest.raises(funnel.ConfigError, match="no frame of 'comparison'; did you mean 'comparisons'"):
        built.built.report.to_frame("comparison")  # type: ignore[arg-type]


def test_a_report_is_read_from_a_text_and_is_one_or_refused(built: TinyBuild, tmp_path: Path) -> None:
    path = str(tmp_path / "report.json")
    built.built.report.save(path)
    assert funnel.Report.load(path) == built.built.report
    Path(path).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(funnel.DataError, match="is not a report that this version reads"):
        funnel.Report.load(path)


def test_a_profile_has_a_row_for_each_column(built: TinyBuild) -> None:
    found = funnel.profile_data(built.prepared.dataset)
    frame = found.to_frame()
    assert list(frame.index) == [f"{column.table}.{column.name}" for column in found.columns]
    titles = built.prepared.dataset.items["title"]
    assert frame.loc["items.title", "distinct"] == titles.nunique()
    assert frame.loc["items.title", "missing"] == titles.isna().sum()


def test_a_difference_says_what_is_in_one_and_in_both(built: TinyBuild) -> None:
    frame = funnel.diff(funnel.Store(built.indexes), "current", "current").to_frame()
    assert frame.loc[("items", "number"), ["a", "b", "both"]].tolist() == [0, 0, 200]
    assert frame.loc[("answers", "overlap"), "both"] == 1.0
    k = built.built.report.k
    found = frame.loc[("metrics", f"ndcg@{k}")]
    assert found["a"] == found["b"] == built.built.report.rows[-1].metrics[f"ndcg@{k}"].mean


def hostile() -> Iterator[Any]:
    """Everything that a notebook shows, with a stranger's text wherever one can put it."""
    item = funnel.Recommendation(
        HOSTILE, 1.0, {HOSTILE: 1}, (HOSTILE,), {HOSTILE: HOSTILE, "list": [HOSTILE]}
    )
    yield funnel.Answer(HOSTILE, (item,), "v", (HOSTILE,), {})
    yield compare(HOSTILE, HOSTILE, "ndcg@10", paired([1.0, 0.0], [0.0, 0.0], seed=0))
    events = pd.DataFrame({"user_id": [HOSTILE, "u"], "item_id": [HOSTILE, "i"], "time": [1, 2]})
    items = pd.DataFrame({"item_id": [HOSTILE, "i"], "title": [HOSTILE, HOSTILE], "kind": [HOSTILE, "k"]})
    schema = funnel.Schema(
        items=(funnel.Column(name="title", kind="text"), funnel.Column(name="kind", kind="category"))
    )
    yield funnel.profile_data(funnel.Dataset.from_frames(schema, events, items=items, name=HOSTILE))


@pytest.mark.parametrize("shown", list(hostile()), ids=lambda one: type(one).__name__)
def test_a_strangers_text_does_not_become_markup(shown: Any) -> None:
    seen = Seen(shown._repr_html_())
    assert seen.tags <= TAGS
    assert "onerror" not in seen.attributes
    assert "<script>" in seen.text  # it is there, as text


def test_nor_does_that_of_reports_and_differences(built: TinyBuild) -> None:
    report = built.built.report
    rows = [row.model_copy(update={"name": HOSTILE}) for row in report.rows]
    subject = report.subject.model_copy(update={"dataset": HOSTILE})
    found = funnel.diff(funnel.Store(built.indexes), "current", "current")
    for shown in (
        report.model_copy(update={"rows": tuple(rows), "subject": subject}),
        found.model_copy(update={"a": HOSTILE, "config": {HOSTILE: (HOSTILE, [HOSTILE])}}),
    ):
        seen = Seen(shown._repr_html_())
        assert seen.tags <= TAGS
        assert "<script>" in seen.text


def test_dollars_begin_no_formula(answer: Any) -> None:
    assert answer._repr_html_().count("mathjax_ignore") == 2
