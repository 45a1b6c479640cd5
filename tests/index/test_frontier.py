"""What `measure` finds: kinds of index on the same vectors, the frontier among them, and the choice."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from funnel.errors import ConfigError, DataError, FunnelError
from funnel.evaluation.frontier import Frontier, Point, kinds, measure, measure_settings
from funnel.index import ExactIndex, FaissIndex, IndexConfig
from funnel.index.auto import recall

from .conftest import World, mixture

SOME = ("Flat", "IVF64,Flat", "IVF64,PQ32x4fs", "IVF64,RaBitQfs", "HNSW16")


def point(recall: float, ms: float, size: int = 0, seconds: float = 0.0) -> Point:
    return Point(spec="Flat", params={}, recall=recall, ms=ms, bytes=size, build_seconds=seconds)


def frontier(points: list[Point], goal: float) -> Frontier:
    return Frontier(size=9, dimension=2, k=3, goal=goal, queries=1, points=tuple(points), failed={})


figures = st.builds(
    point, st.sampled_from([0.5, 0.9, 1.0]), st.sampled_from([1.0, 2.0, 3.0]), st.integers(0, 2),
    st.sampled_from([0.0, 1.0]),
)  # fmt: skip


@given(points=st.lists(figures, min_size=1, max_size=12), goal=st.sampled_from([0.5, 0.9, 1.0]))
def test_the_frontier_is_what_nothing_beats(points: list[Point], goal: float) -> None:
    found = frontier(points, goal)
    axes = {(-p.recall, p.ms, p.bytes, p.build_seconds) for p in points}
    beaten = {a for a in axes for b in axes if a != b and all(y <= x for x, y in zip(a, b, strict=True))}
    kept = {(-p.recall, p.ms, p.bytes, p.build_seconds) for p in found.best}
    assert kept == axes - beaten
    reaching = [p for p in points if p.recall >= goal]
    if not reaching:
        assert found.chosen is None
    else:
        assert found.chosen is not None
        assert found.chosen.ms <= 1.1 * min(p.ms for p in reaching)


def test_of_those_as_fast_the_smallest_is_chosen() -> None:
    fast, small, lossy = point(0.99, 1.0, 100), point(0.985, 1.05, 10), point(0.9, 0.1, 1)
    assert frontier([fast, small, lossy], 0.98).chosen == small


def test_each_kind_is_measured_against_exact_search(world: World) -> None:
    found = measure(world.vectors, world.sample[:60], k=50, goal=0.9, specs=SOME, rounds=1)
    assert {p.spec for p in found.points} == set(SOME)
    wanted, _ = ExactIndex(world.vectors).search(world.sample[:60], 50)
    for spec in ("IVF64,Flat", "IVF64,PQ32x4fs"):
        index = FaissIndex.untuned(world.vectors, IndexConfig(spec=spec))
        points = [p for p in found.points if p.spec == spec]
        assert [p.recall for p in points] == sorted(p.recall for p in points)
        for p in points:
            rows, _ = index.search(world.sample[:60], 50, params=p.params)
            assert recall(rows, wanted) == pytest.approx(p.recall)
    assert next(p for p in found.points if p.spec == "Flat").recall == 1
    assert all(p.ms > 0 and (p.bytes > 0) == (p.spec != "Flat") for p in found.points)


def test_what_is_chosen_is_built_with_its_recall(world: World) -> None:
    found = measure(world.vectors, world.sample, k=50, goal=0.95, specs=["IVF64,PQ32x4fs"], rounds=1)
    assert found.chosen is not None
    assert found.chosen.recall >= found.goal
    # Which of the settings that reach the goal is fastest is a matter of the moment.
    config = IndexConfig(spec=found.chosen.spec, recall=found.chosen.recall, k=found.k)
    built = FaissIndex.build(world.vectors, config, world.sample)
    assert built.info.params == found.chosen.params
    assert built.info.recall == found.chosen.recall
    assert built.bytes == found.chosen.bytes


def test_bytes_are_those_of_the_file(world: World, tmp_path: object) -> None:
    from pathlib import Path

    index = world.build("IVF64,PQ16x4fs")
    index.save(Path(str(tmp_path)))
    assert index.bytes == Path(str(tmp_path), "index.faiss").stat().st_size
    assert world.build("Flat").bytes == 0


def test_the_usual_kinds_on_a_hundred_items() -> None:
    found = measure(mixture(1, 100), mixture(2, 10), rounds=1)
    assert found.k == 100  # not 500: there are no more
    assert found.chosen is not None
    assert {p.spec for p in found.points} | set(found.failed) == set(kinds(100, 32))


def test_a_goal_that_nothing_reaches(world: World) -> None:
    found = measure(world.vectors, world.sample[:20], k=50, goal=1, specs=["HNSW4"], rounds=1)
    assert found.chosen is None
    assert found.points


def test_a_spec_that_does_not_fit_is_left_out_and_named(world: World) -> None:
    found = measure(world.vectors, world.sample[:9], k=5, specs=["Flat", "Nonsense"], rounds=1)
    assert list(found.failed) == ["Nonsense"]
    with pytest.raises(ConfigError, match="'Nonsense'"):
        measure(world.vectors, world.sample[:9], k=5, specs=["Nonsense"])


def test_what_cannot_be_measured_is_refused(world: World) -> None:
    for goal in (0.0, 1.5, -1.0, float("nan")):
        with pytest.raises(ConfigError, match="goal"):
            measure(world.vectors, world.sample, goal=goal)
    with pytest.raises(FunnelError, match="k is 0"):
        measure(world.vectors, world.sample, k=0)
    with pytest.raises(DataError, match="0 queries"):
        measure(world.vectors, np.empty((0, 32), dtype=np.float32))


def test_the_settings_of_an_index_that_is_there_end_with_exact_search(world: World) -> None:
    config = IndexConfig(spec="IVF64,PQ32x4fs", recall=0.9, k=50)
    index = FaissIndex.build(world.vectors, config, world.sample)
    *points, last = measure_settings(index, world.vectors, world.sample[:60], rounds=1)
    recalls = [p.recall for p in points]
    assert recalls == sorted(recalls)
    assert recalls[-1] > 0.95
    assert {p.spec for p in points} == {index.spec}
    assert (last.spec, last.recall) == ("Flat", 1.0)
    flat = FaissIndex.build(world.vectors, IndexConfig(spec="Flat"), world.sample)
    assert measure_settings(flat, world.vectors, world.sample[:60]) == ()
