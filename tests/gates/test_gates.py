"""Each gate for itself: what passes it, and what fails it."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from funnel.data import Schema
from funnel.gates import Finding, GatesConfig, quality, vectors
from funnel.gates.catalogue import concentration, reach
from funnel.gates.figures import Figures
from funnel.gates.findings import at_least, at_most
from funnel.gates.serving import same
from funnel.gates.tables import schema


def failed(found: list[Finding]) -> set[str]:
    return {one.gate for one in found if not one.passed}


def health(values: np.ndarray) -> set[str]:
    contents: Any = SimpleNamespace(vectors=values.astype(np.float32))
    return failed(vectors.health(contents, GatesConfig(), seed=0))


def test_vectors_that_are_sound_and_vectors_that_are_not() -> None:
    sound = np.random.default_rng(0).normal(size=(500, 16))
    assert health(sound) == set()
    assert health(sound * 1e-3) == set()  # length alone is nothing
    broken = sound.copy()
    broken[3, 2] = np.nan
    assert health(broken) == {"finite"}
    assert health(np.full((10, 4), np.nan)) == {"finite"}
    long = sound.copy()
    long[:20] *= 100
    assert "norms" in health(long)
    zero = sound.copy()
    zero[:20] = 0
    assert "norms" in health(zero)
    assert health(np.zeros((50, 8))) >= {"norms"}
    assert "collapse" in health(sound[:1] + 0.01 * sound)
    line = np.outer(np.random.default_rng(1).normal(size=500), np.ones(16)) + 1e-4 * sound
    assert "dimensions" in health(line)  # no axis is dead, but all directions but one are


def test_few_items_are_not_failed_for_directions_that_they_cannot_span() -> None:
    few = np.random.default_rng(0).normal(size=(40, 64))
    assert health(few) == set()
    flat = few.copy()
    flat[:, 20:] = 0
    assert "dimensions" in health(flat)  # 20 directions of 39


def test_the_mean_cosine_is_that_of_all_pairs() -> None:
    values = np.random.default_rng(0).normal(size=(40, 5)) + 1.0
    unit = values / np.linalg.norm(values, axis=1, keepdims=True)
    pairs = [unit[i] @ unit[j] for i in range(40) for j in range(40) if i != j]
    assert vectors._similarity(values.astype(np.float32)) == pytest.approx(np.mean(pairs), abs=1e-5)


def figures(shown: list[int], shortlisted: list[int], k: int = 2, width: int = 3) -> Figures:
    return Figures({}, np.array(shown), np.array(shortlisted), k, width, np.empty((0, k)))


def test_everyone_getting_the_same_list_is_concentration() -> None:
    same_for_all = figures([50, 50] + [0] * 98, [1] * 100)
    even = figures([1] * 100, [1] * 100)
    assert concentration(same_for_all, GatesConfig()).value == pytest.approx(1.0)
    assert concentration(even, GatesConfig()).value == pytest.approx(0.0)
    assert concentration(figures([5, 5], [1, 1]), GatesConfig()).passed  # there is nothing else to show


def test_reach_is_of_what_so_many_lists_could_hold() -> None:
    ten_of_100 = figures([1] * 100, [1] * 10 + [0] * 90)
    (alone,) = reach(ten_of_100, None, 1000, GatesConfig())
    assert alone.value == pytest.approx(0.1)
    (few,) = reach(ten_of_100, None, 5, GatesConfig())  # 15 places
    assert few.value == pytest.approx(0.1 / 0.15)
    all_of_them = replace(ten_of_100, shortlisted=np.ones(100, dtype=np.int64))
    assert failed(reach(ten_of_100, all_of_them, 1000, GatesConfig())) == {"reach"}
    assert failed(reach(all_of_them, ten_of_100, 1000, GatesConfig())) == set()


def test_a_fall_must_be_excluded_and_that_of_a_part_must_not_be_beyond_chance() -> None:
    rng = np.random.default_rng(0)
    before = rng.random(400)
    users = np.arange(400, dtype=np.int32)
    for change, passes in ((-0.1, False), (-0.001, True), (0.1, True)):
        now = before + change + rng.normal(size=400) * 0.01
        old, new = ({"rank": {"ndcg@10": values}} for values in (before, now))
        found = quality.stages(stage_figures(new), stage_figures(old), users, GatesConfig(), 0, "these")
        assert found[0].passed is passes
        parts = {"all": np.ones(400, dtype=np.bool_), "few": users < 10}
        (judged,) = quality.slices(now, before, parts, users, GatesConfig(), 0)
        assert judged.passed is passes
        assert judged.sentence.startswith("all (400 requests)")
    noisy = before - 0.01 + rng.normal(size=400)
    (judged,) = quality.slices(noisy, before, {"all": users >= 0}, users, GatesConfig(slice_fall=0.0), 0)
    assert judged.passed


def stage_figures(stages: dict[str, dict[str, np.ndarray]]) -> Figures:
    return Figures(stages, np.ones(2), np.ones(2), 10, 10, np.empty((0, 10)))


def test_columns_that_are_gone_or_changed_and_new_ones() -> None:
    before = Schema.model_validate(
        {"items": [{"name": "genre", "kind": "category"}, {"name": "year", "kind": "number"}]}
    )
    after = Schema.model_validate(
        {"items": [{"name": "genre", "kind": "multi_category"}], "users": [{"name": "age", "kind": "number"}]}
    )
    found = schema(after, before, GatesConfig())
    assert not found.passed
    assert "items.genre, items.year" in found.sentence
    more = Schema.model_validate({**before.model_dump(), "users": [{"name": "age", "kind": "number"}]})
    assert schema(more, before, GatesConfig()).passed


def test_what_is_not_a_number_passes_nothing() -> None:
    assert not at_most("g", math.nan, 1.0, "x").passed
    assert not at_least("g", math.nan, 1.0, "x").passed
    assert at_most("g", math.nan, 1.0, "x").value is None
    found = at_most("g", 0.5, 1.0, "x")
    assert Finding.model_validate_json(found.model_dump_json()) == found


def test_lists_are_the_same_whatever_their_width() -> None:
    assert same(np.array([[1, 2], [3, 4]]), np.array([[1, 2, -1], [3, 4, 5]])) == 0.5


def test_the_list_that_is_shown_is_compared_whatever_stage_makes_it() -> None:
    """Rules are new, and the last stage has another name: no stage of that name was there before."""
    rng = np.random.default_rng(0)
    before, users = rng.random(400), np.arange(400, dtype=np.int32)
    old = stage_figures({"rank": {"ndcg@10": before}, "rerank": {"ndcg@10": before}})
    worse = {"rank": {"ndcg@10": before}, "rerank": {"ndcg@10": before}, "rules": {"ndcg@10": before / 2}}
    for anchor in (False, True):
        found = quality.stages(stage_figures(worse), old, users, GatesConfig(), 0, "these", anchor=anchor)
        (fallen,) = (one for one in found if not one.passed)
        assert fallen.sentence.startswith("the list that is shown (rules, before rerank), ndcg@10 on these: ")
    same = {**worse, "rules": {"ndcg@10": before}}
    found = quality.stages(stage_figures(same), old, users, GatesConfig(), 0, "these")
    assert len(found) == 3
    assert all(one.passed for one in found)
