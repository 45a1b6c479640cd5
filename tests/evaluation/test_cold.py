"""Targets without an event in training have figures of their own, in every form of the report."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from stub_world import StubFunnel, World, measured

from funnel.evaluation import Report, as_table
from funnel.pages.report import write_page


@pytest.fixture(scope="module")
def few(world: World) -> World:
    """Every seventh item has no event."""
    popularity = world.popularity.copy() + 1
    popularity[::7] = 0
    return World(world.truth, world.examples, popularity)


@pytest.fixture(scope="module")
def report(few: World) -> Report:
    return measured(few)


def slow_figures(world: World, items: np.ndarray) -> dict[str, float]:
    """One request, one target and one place at a time."""
    ndcg, at_ten, whole = [], [], []
    for row, targets in zip(items.tolist(), world.examples.targets, strict=True):
        cold = [target for target in targets.tolist() if world.popularity[target] == 0]
        if cold:
            gains = [1 / math.log2(2 + place) for place, item in enumerate(row[:10]) if item in cold]
            ideal = [1 / math.log2(2 + place) for place in range(min(10, len(cold)))]
            ndcg.append(sum(gains) / sum(ideal))
            at_ten.append(len(gains) / len(cold))
            whole.append(len(set(row) & set(cold)) / len(cold))
    return {"ndcg@10": np.mean(ndcg), "recall@10": np.mean(at_ten), "recall": np.mean(whole)}


def slow_chance(world: World) -> dict[str, float]:
    """A random order puts a target at each position with the same chance."""
    ndcg, recall = [], []
    for seen, targets in zip(world.examples.requests.history, world.examples.targets, strict=True):
        wanted, free = sum(world.popularity[target] == 0 for target in targets), 400 - len(seen)
        if wanted:
            gains = [1 / math.log2(2 + position) for position in range(10)]
            ndcg.append(wanted / free * sum(gains) / sum(gains[:wanted]))
            recall.append(10 / free)
    return {"ndcg@10": float(np.mean(ndcg)), "recall@10": float(np.mean(recall))}


def test_each_row_has_the_figures_of_its_served_lists(few: World, report: Report) -> None:
    cold = report.cold
    assert cold is not None
    targets = few.examples.targets.values
    assert cold.items == len(range(0, 400, 7))
    assert cold.targets == int((targets % 7 == 0).sum()) < report.targets
    assert list(cold.rows) == [row.name for row in report.rows]
    for step in StubFunnel(few).trace(few.examples.requests):
        slow = slow_figures(few, step.candidates.items)
        for name, value in cold.rows[step.name].items():
            assert value.mean == pytest.approx(slow[name])
            assert value.lo <= value.mean <= value.hi
    assert cold.rows["rerank"]["ndcg@10"].mean > cold.chance["ndcg@10"]
    assert cold.chance == pytest.approx(slow_chance(few))
    # What retrieval missed counts as missed later.
    assert cold.rows["retrieve"]["recall"].mean > cold.rows["filter"]["recall"].mean


def test_where_all_targets_have_events_it_says_so(world: World) -> None:
    known = World(world.truth, world.examples, np.ones(400, dtype=np.int64))
    cold = measured(known).cold
    assert cold is not None
    assert (cold.items, cold.targets, cold.requests, cold.rows) == (0, 0, 0, {})
    assert cold.sentence == "no target is among the 0 items without an event in training"


def test_it_stands_in_every_form(report: Report, tmp_path: Path) -> None:
    assert report.cold is not None
    ndcg = report.cold.rows["rank"]["ndcg@10"]
    frame = report.to_frame()
    found = [frame.loc["rank", f"cold ndcg@10{end}"] for end in ("", " lo", " hi")]
    assert found == [ndcg.mean, ndcg.lo, ndcg.hi]
    console = Console(width=80, record=True, file=(tmp_path / "text").open("w"))
    console.print(as_table(report))
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= 80
    (head,) = (line for line in text.splitlines() if line.strip().startswith("cold items"))
    (line,) = (line for line in text.split(head)[1].splitlines()[:14] if line.strip().startswith("rank "))
    assert f"{ndcg.mean:.4f}"[1:] in line
    assert report.cold.sentence in " ".join(text.split())
    write_page(report, tmp_path)
    page = (tmp_path / "report.html").read_text()
    section = page.split("<h2>Cold items</h2>")[1].split("</section>")[0]
    assert f"{report.cold.targets:,} targets of" in section
    assert f"{ndcg.mean:.4f}"[1:] in section
    assert Report.model_validate_json(report.model_dump_json()) == report


def test_a_report_of_an_earlier_version_has_none(report: Report, tmp_path: Path) -> None:
    raw = json.loads(report.model_dump_json())
    del raw["cold"]
    earlier = Report.model_validate(raw)
    assert earlier.cold is None
    assert "cold ndcg@10" not in earlier.to_frame()
    write_page(earlier, tmp_path)
    assert "Cold items" not in (tmp_path / "report.html").read_text()
