"""The table and the page carry the report's numbers."""

from __future__ import annotations

import builtins
import io
import re
from html import unescape

import pytest
from rich.console import Console
from stub_world import measured

from funnel.errors import FunnelError
from funnel.evaluation import as_table
from funnel.evaluation.advice import gain
from funnel.evaluation.compare import short
from funnel.evaluation.frontier import Point
from funnel.evaluation.levers import advise
from funnel.pages.report import coded, write_page

PEOPLE = [
    {
        "user": "User 7",
        "history": ["Fargo <1996>", "Babe"],
        "items": [
            {
                "title": "Toy Story & Co",
                "score": 1.25,
                "sources": ["towers"],
                "reasons": ["near Babe"],
                "hit": True,
            },
            {"title": "Seven", "score": -0.5, "sources": [], "reasons": []},
        ],
    },
    {"user": "User 8", "history": [], "items": []},
]


def printed(report) -> str:
    console = Console(width=80, file=io.StringIO(), color_system=None)
    console.print(as_table(report))
    return console.file.getvalue()


def test_the_table_fits_and_holds_every_row(report):
    text = printed(report)
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "…" not in text
    for row in report.rows:
        line = next(line for line in text.splitlines() if line.startswith(row.name))
        for metric in ("ndcg@10", "recall@10", "mrr@10", "map@10"):
            assert short(row.metrics[metric].mean) in line
        assert short(row.metrics["ndcg@10"].lo) in line
    assert short(report.chance["ndcg@10"]) in text


def test_the_table_says_the_sentences(report):
    text = " ".join(printed(report).split())
    for comparison in report.comparisons:
        assert comparison.sentence in text
    assert f"{report.search_recall[10]:.1%} of the first 10" in text


def test_the_table_without_ideal_exact_and_baselines(world):
    report = measured(world, baselines={}, exact=None, truth_scores=None)
    report = report.model_copy(update={"notes": ("the retrieval order is kept",)})
    text = printed(report)
    assert "ideal" not in text
    assert "the retrieval order is kept" in text


def test_the_page_holds_the_numbers_and_needs_nothing_else(report, tmp_path):
    report = report.model_copy(update={"config": {"towers": {"d": 64}}})
    path = write_page(report, tmp_path / "new", PEOPLE)
    page = unescape(path.read_text())
    text = " ".join(re.sub(r"<[^>]*>", "", page).split())
    for row in report.rows:
        assert row.name in text
        assert short(row.metrics["ndcg@10"].mean) in text
        if row.lost:
            assert f"{row.lost:,} lost here" in text
    for comparison in report.comparisons:
        assert comparison.sentence in text
    assert page.count("<svg") == 4
    assert '"d": 64' in text
    assert report.subject.checksum in text
    assert not re.search(r'(src|href)="(?!#)', page.replace("xlink:href", "use")), "it must not load anything"


def test_table_and_page_bear_names_and_advice(report, tmp_path):
    report = report.model_copy(update={"config": {"name": "shop <nightly>"}})
    report = report.model_copy(update={"advice": advise(report)})
    page = unescape(write_page(report, tmp_path).read_text())
    assert page.count("shop <nightly> on world") == 2  # the page's title and its head
    text = printed(report)
    assert "shop <nightly> on world" in text
    assert len(report.advice) >= 2
    said = " ".join(text.split())
    for number, one in enumerate(report.advice, 1):
        assert one.sentence.replace("`", "") in re.sub("</?code>", "", page)
        assert f"{number}. {one.key}{gain(one)} {one.sentence}" in said
    assert "share of the targets that is left after each stage: retrieve" in said
    assert "<code>k</code> under [retrieve]" in page
    assert coded("`a < b` and <b>") == "<code>a &lt; b</code> and &lt;b&gt;"
    named = report.model_copy(update={"config": {"name": "world"}})
    assert named.title == "world"


def test_examples_are_shown_and_escaped(report, tmp_path):
    page = write_page(report, tmp_path, PEOPLE).read_text()
    assert "Fargo &lt;1996&gt;, Babe" in page
    assert "Toy Story &amp; Co" in page
    assert "near Babe" in page
    assert "no history" in page
    assert "really took" in page
    assert "really took" not in write_page(report, tmp_path).read_text()


def test_the_page_of_a_bare_report(world, tmp_path):
    report = measured(world, baselines={}, exact=None, truth_scores=None, approximate=None)
    assert "of ideal" not in write_page(report, tmp_path).read_text()


@pytest.mark.parametrize("missing", ["jinja2", "matplotlib"])
def test_a_missing_extra_is_named(report, tmp_path, monkeypatch, missing):
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name.split(".")[0] == missing:
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(FunnelError, match=rf"need.* {missing}.*funnel-rank\[plot\]"):
        write_page(report, tmp_path)


@pytest.mark.parametrize(
    ("value", "signed", "text"),
    [
        (0.0649, False, ".0649"),
        (-0.00123, True, "\N{MINUS SIGN}.0012"),
        (1.0, False, "1.0000"),
        (0.0, True, "+.0000"),
        (-1e-9, True, "+.0000"),
    ],
)
def test_short_figures(value, signed, text):
    assert short(value, sign=signed) == text


def test_the_page_draws_what_the_index_finds_and_costs_where_there_is_one(report, tmp_path):
    assert "What exactness costs" not in write_page(report, tmp_path).read_text()
    some = {"params": {}, "bytes": 0, "build_seconds": 0.0}
    points = [Point(spec="IVF8,PQ4x4fs", recall=recall, ms=recall / 2, **some) for recall in (0.8, 0.97)]
    drawn = report.model_copy(update={"frontier": (*points, Point(spec="Flat", recall=1.0, ms=9.0, **some))})
    page = write_page(drawn, tmp_path).read_text()
    assert "What exactness costs" in page
    assert "IVF8,PQ4x4fs" in page
