"""The reference against arithmetic that hides nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funnel.allow import Allow, packed
from funnel.errors import ConfigError, DataError, FunnelError
from funnel.index import ExactIndex
from funnel.index.kernel import passing_rows
from funnel.types import Bool, Float32, Int32

from .conftest import World


def slow(vectors: Float32, queries: Float32, k: int, allow: Bool | None = None) -> Int32:
    """Sort everything by (−score, row)."""
    scores = queries.astype(np.float64) @ vectors.T.astype(np.float64)
    rows = np.full((len(queries), k), -1, dtype=np.int32)
    passing = np.arange(len(vectors)) if allow is None else np.flatnonzero(allow)
    for b in range(len(queries)):
        order = sorted(passing, key=lambda row, b=b: (-scores[b, row], row))[:k]
        rows[b, : len(order)] = order
    return rows


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(0, 40),
    batch=st.integers(0, 5),
    k=st.integers(1, 50),
    filtered=st.booleans(),
    threads=st.integers(1, 3),
    seed=st.integers(0, 2**32 - 1),
)
def test_whole_numbers_with_many_ties_come_in_the_one_right_order(
    n: int, batch: int, k: int, filtered: bool, threads: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.integers(-1, 2, size=(n, 3)).astype(np.float32)
    queries = rng.integers(-1, 2, size=(batch, 3)).astype(np.float32)
    allow = rng.random(n) < 0.5 if filtered else None
    given = None if allow is None else Allow.of(allow, batch)
    rows, scores = ExactIndex(vectors).search(queries, k, allow=given, threads=threads)
    np.testing.assert_array_equal(rows, slow(vectors, queries, k, allow))
    expected = np.where(
        rows >= 0, (queries @ vectors.T)[np.arange(batch)[:, None], rows] if n else 0, -np.inf
    )
    np.testing.assert_array_equal(scores, expected)
    assert (rows.dtype, scores.dtype) == (np.int32, np.float32)


def test_real_vectors(world: World, exact: ExactIndex) -> None:
    rows, scores = exact.search(world.queries, 20)
    products = world.queries.astype(np.float64) @ world.vectors.T.astype(np.float64)
    best = -np.sort(-products, axis=1)[:, :20]
    np.testing.assert_allclose(scores, best, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(np.take_along_axis(products, rows, axis=1), best, rtol=1e-4, atol=1e-4)
    assert (np.diff(scores, axis=1) <= 0).all()


def test_an_answer_does_not_depend_on_the_batch_or_on_threads(world: World, exact: ExactIndex) -> None:
    rows, scores = exact.search(world.queries, 30)
    split_rows, split_scores = exact.search(world.queries, 30, threads=3)
    single = [exact.search(query[None], 30) for query in world.queries]
    np.testing.assert_array_equal(rows, split_rows)
    np.testing.assert_array_equal(scores, split_scores)
    np.testing.assert_array_equal(rows, np.concatenate([found for found, _ in single]))
    np.testing.assert_array_equal(scores, np.concatenate([found for _, found in single]))


def test_equal_vectors_tie_wherever_they_stand(world: World) -> None:
    rows, scores = ExactIndex(np.repeat(world.vectors[:300], 3, axis=0)).search(world.queries, 9)
    for copies, tied in zip(rows.reshape(-1, 3), scores.reshape(-1, 3), strict=True):
        assert copies.tolist() == [copies[0], copies[0] + 1, copies[0] + 2]
        assert len(set(tied.tolist())) == 1


def test_a_memory_map_is_searched_in_place(world: World, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("vectors") / "vectors.npy"
    np.save(path, world.vectors)
    mapped = ExactIndex(np.load(path, mmap_mode="r"))
    expected = ExactIndex(world.vectors).search(world.queries, 5)
    for found, wanted in zip(mapped.search(world.queries, 5), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("vectors", [np.ones(3), np.ones((2, 0)), [["a"]], np.ones((2, 2, 2))])
def test_what_is_no_matrix_is_refused(vectors: object) -> None:
    with pytest.raises(DataError):
        ExactIndex(vectors)  # type: ignore[arg-type]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_bad_number_in_a_vector_is_named_by_its_row(world: World, bad: float) -> None:
    vectors = world.vectors.copy()
    vectors[17, 3] = bad
    with pytest.raises(DataError, match="item row 17"):
        ExactIndex(vectors)


def test_parameters_are_refused(exact: ExactIndex, world: World) -> None:
    with pytest.raises(ConfigError, match="nprobe"):
        exact.search(world.queries, 5, params={"nprobe": 3})


@pytest.mark.parametrize(("batch", "items"), [(150, 3), (3, 3000)])
def test_a_filter_for_others_is_refused(exact: ExactIndex, world: World, batch: int, items: int) -> None:
    with pytest.raises(FunnelError, match=f"allow is for {batch} queries and {items} items"):
        exact.search(world.queries, 5, allow=Allow.of(np.ones(items, dtype=bool), batch))


def test_bits_that_change_after_they_were_counted_write_and_read_nowhere_else() -> None:
    bits = packed(np.arange(130)[None] % 3 == 0)[0]
    there = np.flatnonzero(np.arange(130) % 3 == 0).tolist()
    assert passing_rows(bits, len(there)).tolist() == there
    assert passing_rows(bits, 10).tolist() == there[:10]
    assert passing_rows(bits, 1000).tolist() == there
