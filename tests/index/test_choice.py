"""What is built when nothing is said, and what is refused."""

from __future__ import annotations

import threading

import faiss
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydantic import ValidationError

from funnel.errors import ConfigError, DataError
from funnel.index import ExactIndex, FaissIndex, IndexConfig
from funnel.index.auto import choose_spec, ladders, recall, tune
from funnel.index.parameters import omp_threads

from .conftest import World, mixture


@pytest.mark.parametrize(
    ("n", "d", "spec"),
    [
        (1, 64, "Flat"),
        (50_000, 64, "Flat"),
        (50_001, 64, "IVF512,PQ64x4fs"),
        (300_000, 64, "IVF1024,PQ64x4fs"),
        (1_000_000, 64, "IVF2048,PQ64x4fs"),
        (10_000_000, 15, "IVF4096,PQ15x4fs"),
    ],
)
def test_the_catalogue_decides_the_spec(n: int, d: int, spec: str) -> None:
    assert choose_spec(n, d) == spec


def test_auto_on_a_catalogue_that_needs_lists() -> None:
    vectors, queries = mixture(1, 51_000, 8), mixture(2, 60, 8)
    built = FaissIndex.build(vectors, IndexConfig(k=20), queries[:30])
    assert built.spec == "IVF512,PQ8x4fs"
    assert built.info.recall >= 0.98
    wanted, _ = ExactIndex(vectors).search(queries[30:], 20)
    assert recall(built.search(queries[30:], 20)[0], wanted) >= 0.93


@pytest.mark.parametrize("n", [0, 1, 2])
def test_auto_on_next_to_nothing(n: int) -> None:
    built = FaissIndex.build(mixture(1, n), IndexConfig(), mixture(2, 4))
    rows, _ = built.search(mixture(3, 2), 3)
    assert ((rows >= 0).sum(axis=1) == n).all()


@given(
    first=st.lists(st.integers(0, 9), min_size=1, max_size=12),
    second=st.lists(st.integers(0, 9), min_size=1, max_size=6),
    goal=st.integers(0, 20),
)
def test_tuning_finds_what_trying_everything_finds(first: list[int], second: list[int], goal: int) -> None:
    a, b = np.cumsum(first), np.cumsum(second)  # recall and cost both rise with each parameter

    def measure(params: dict[str, int]) -> float:
        return float(a[params["nprobe"]] + b[params["k_factor"]])

    def cost(params: dict[str, int]) -> float:
        return 3 * params["nprobe"] + 2 * params["k_factor"]

    values = {"nprobe": list(range(len(a))), "k_factor": list(range(len(b)))}
    found, share = tune(measure, values, cost, goal)
    every = [{"nprobe": i, "k_factor": j} for i in values["nprobe"] for j in values["k_factor"]]
    assert share == measure(found)
    reaching = [cost(params) for params in every if measure(params) >= goal]
    if reaching:
        assert cost(found) == min(reaching)
    else:
        assert share == max(measure(params) for params in every)


def test_parameters_that_are_given_are_kept(world: World) -> None:
    config = IndexConfig(spec="IVF64,PQ16x4fs", k=20, params={"nprobe": 5})
    built = FaissIndex.build(world.vectors, config, world.sample)
    assert built.info.params["nprobe"] == 5
    assert ladders(("nprobe", "k_factor"), {"nprobe": 5}, 3000, 64, 20)["nprobe"] == [5]


def test_a_goal_out_of_reach_is_logged(world: World, caplog: pytest.LogCaptureFixture) -> None:
    config = IndexConfig(spec="IVF64,Flat", recall=1, k=20, params={"nprobe": 1})
    built = FaissIndex.build(world.vectors, config, world.sample)
    assert built.info.recall < 1
    assert "IVF64,Flat" in caplog.text


@pytest.mark.parametrize(
    "spec", ["", "Nonsense", "IVF64", "IVF5000,Flat", "PQ7x4fs", "IDMap,Flat", "LSH", "HNSW16_PQ8"]
)
def test_a_spec_that_cannot_be_built_is_named(world: World, spec: str) -> None:
    with pytest.raises(ConfigError, match=f"'{spec}'"):
        FaissIndex.build(world.vectors, IndexConfig(spec=spec), world.sample)


def test_what_cannot_be_measured_or_searched_is_refused(world: World) -> None:
    with pytest.raises(DataError, match="sample queries"):
        FaissIndex.build(world.vectors, IndexConfig(spec="IVF64,Flat"), world.sample[:0])
    with pytest.raises(ConfigError, match="efSearch"):
        FaissIndex.build(world.vectors, IndexConfig(spec="SQ8", params={"efSearch": 3}), world.sample)
    with pytest.raises(ValidationError, match="nprobe"):
        IndexConfig(spec="IVF64,Flat", params={"nprobe": 0})
    broken = np.where(np.arange(9)[:, None] == 3, np.nan, world.vectors[:9])
    with pytest.raises(DataError, match="item row 3"):
        FaissIndex.build(broken, IndexConfig(), world.sample)


def test_the_number_of_threads_belongs_to_the_thread_that_set_it() -> None:
    seen = []
    with omp_threads(1):
        before = faiss.omp_get_max_threads()
        other = threading.Thread(target=lambda: seen.append(_set_seven()))
        other.start()
        other.join()
        assert (before, faiss.omp_get_max_threads()) == (1, 1)
    assert seen == [7]


def _set_seven() -> int:
    with omp_threads(7):
        return int(faiss.omp_get_max_threads())


@given(
    found=arrays(np.int32, (3, 7), elements=st.integers(-1, 12)),
    wanted=arrays(np.int32, (3, 5), elements=st.integers(-1, 12)),
)
def test_recall_counts_the_wanted_rows_that_are_found(found: np.ndarray, wanted: np.ndarray) -> None:
    hits = [row in there for rows, there in zip(wanted, found, strict=True) for row in rows if row >= 0]
    assert recall(found, wanted) == pytest.approx(sum(hits) / max(1, len(hits)))
