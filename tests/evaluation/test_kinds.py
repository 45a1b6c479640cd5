"""Each kind of event that is to be found has figures of its own, in every form of the report."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from stub_world import SUBJECT, StubFunnel, World

from funnel.evaluation import Report, as_table, evaluate
from funnel.pages.report import write_page
from funnel.types import Ragged

#: By code; no target is of the second, which is none, or of the last.
KINDS = ("buy", None, "click", "never")


@pytest.fixture(scope="module")
def sold(world: World) -> World:
    """A fifth is bought, half of that was clicked before, the others are clicks."""
    targets = world.examples.targets
    bits = np.random.default_rng(0).choice([1, 5, 4], len(targets.values), p=[0.1, 0.1, 0.8]).astype(np.int32)
    examples = replace(world.examples, target_kinds=Ragged(bits, targets.offsets))
    return World(world.truth, examples, world.popularity)


@pytest.fixture(scope="module")
def report(sold: World) -> Report:
    return evaluate(
        funnel=StubFunnel(sold), examples=sold.examples, subject=SUBJECT, popularity=sold.popularity,
        baselines={"popular": sold.popular(100)}, kinds=KINDS, ks=(10, 50), seed=0, resamples=50,
        latency_requests=2,
    ).report  # fmt: skip


def slow(world: World, items: np.ndarray, code: int) -> dict[str, float]:
    """One request and one position at a time."""
    ndcg, at_ten, whole = [], [], []
    bits = world.examples.target_kinds
    assert bits is not None
    for number, row in enumerate(items.tolist()):
        pairs = zip(world.examples.targets[number].tolist(), bits[number].tolist(), strict=True)
        mine = [target for target, bit in pairs if bit & 2**code]
        if mine:
            gains = [1 / math.log2(2 + position) for position, item in enumerate(row[:10]) if item in mine]
            ndcg.append(sum(gains) / sum(1 / math.log2(2 + p) for p in range(min(10, len(mine)))))
            at_ten.append(len(gains) / len(mine))
            whole.append(len(set(row) & set(mine)) / len(mine))
    return {"ndcg@10": np.mean(ndcg), "recall@10": np.mean(at_ten), "recall": np.mean(whole)}


def test_each_stage_has_figures_of_each_kind(sold: World, report: Report) -> None:
    assert [each.kind for each in report.kinds] == ["buy", "click", "never"]
    buy, click, never = report.kinds
    bits = sold.examples.target_kinds
    assert bits is not None
    assert (buy.targets, click.targets) == (int((bits.values & 1).sum()), int((bits.values >> 2).sum()))
    assert buy.targets + click.targets > report.targets  # some are of both
    assert (never.targets, never.requests, never.rows) == (0, 0, {})
    for step in StubFunnel(sold).trace(sold.examples.requests):
        for each, code in ((buy, 0), (click, 2)):
            expected = slow(sold, step.candidates.items, code)
            for name, value in each.rows[step.name].items():
                assert value.mean == pytest.approx(expected[name])
                assert value.lo <= value.mean <= value.hi
    assert list(buy.rows) == [row.name for row in report.rows]
    assert 0 < buy.chance["ndcg@10"] < buy.rows["rank"]["ndcg@10"].mean


def test_they_stand_in_every_form(report: Report, tmp_path: Path) -> None:
    ndcg = report.kinds[0].rows["rank"]["ndcg@10"]
    assert report.to_frame().loc["rank", "buy ndcg@10 hi"] == ndcg.hi
    console = Console(width=80, record=True, file=(tmp_path / "text").open("w"))
    console.print(as_table(report))
    text = console.export_text()
    (head,) = (line for line in text.splitlines() if line.strip().startswith("buy "))
    (line,) = (line for line in text.split(head)[1].splitlines()[:14] if line.strip().startswith("rank "))
    assert f"{ndcg.mean:.4f}"[1:] in line
    assert "no target is of the kind never" in " ".join(text.split())
    write_page(report, tmp_path)
    page = (tmp_path / "report.html").read_text()
    section = page.split("<h2>Kind of event: buy</h2>")[1].split("</section>")[0]
    assert f"{ndcg.mean:.4f}"[1:] in section
    assert Report.model_validate_json(report.model_dump_json()) == report


def test_without_kinds_and_in_earlier_reports_there_are_none(report: Report, tmp_path: Path) -> None:
    raw = json.loads(report.model_dump_json())
    del raw["kinds"]
    earlier = Report.model_validate(raw)
    assert earlier.kinds == ()
    assert "buy ndcg@10" not in earlier.to_frame()
    write_page(earlier, tmp_path)
    assert "Kind of event" not in (tmp_path / "report.html").read_text()
