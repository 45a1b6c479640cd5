"""Vectors in fewer bytes: what is read is what is stored, wherever it is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funnel.allow import Allow, packed
from funnel.compiling import compiled
from funnel.errors import BundleError, DataError
from funnel.index import ExactIndex, FaissIndex, IndexConfig, OverlayIndex
from funnel.index.auto import recall
from funnel.index.kernel import products
from funnel.policies.scoring import MMR, new_scorer
from funnel.stages._kernels import mmr
from funnel.stages.dpp import dpp
from funnel.types import Float32
from funnel.vectors import FORMS, Form, ItemVectors
from funnel.vectors.coding import row_bytes
from tests.index.conftest import mixture

COMPACT: tuple[Form, ...] = ("float16", "int8")


@compiled
def directions(vectors: Any, items: Any, relevance: Any, tiers: Any) -> Any:
    """What a scorer compares, which compiled functions alone make."""
    return new_scorer(MMR, 0.6, vectors, items, relevance, tiers, 8).unit


def some(seed: int, n: int, d: int) -> Float32:
    """Vectors whose lengths differ by orders of magnitude, some of them zero."""
    rng = np.random.default_rng(seed)
    lengths = 10.0 ** rng.uniform(-6, 3, size=(n, 1)) * (rng.random((n, 1)) > 0.1)
    return (rng.normal(size=(n, d)) * lengths).astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(FORMS), st.integers(0, 2**32 - 1), st.integers(1, 20), st.integers(1, 70))
def test_what_is_read_is_what_is_stored(form: Form, seed: int, n: int, d: int) -> None:
    vectors = some(seed, n, d)
    kept = ItemVectors.of(vectors).kept(form)
    read = np.asarray(kept)
    assert (kept.form, kept.shape, kept.nbytes) == (form, (n, d), n * row_bytes(form, d))
    assert read.dtype == np.float32
    np.testing.assert_array_equal(kept[::-1], read[::-1])
    np.testing.assert_array_equal(kept[n - 1], read[n - 1])
    np.testing.assert_array_equal(ItemVectors.of(read).kept(form).stored, kept.stored)
    largest = np.abs(vectors).max(axis=1, keepdims=True)
    bound = {"float32": 0 * largest, "float16": largest * 2**-11 + 2**-25, "int8": largest / 253.9}[form]
    assert (np.abs(read - vectors) <= bound).all()


def test_whole_numbers_times_a_scale_are_exact_in_float32() -> None:
    kept = ItemVectors.of(some(0, 500, 9)).kept("int8")
    codes = kept.stored[:, :9].astype(np.float64)
    scales = np.ascontiguousarray(kept.stored[:, 9:]).view(np.float32).astype(np.float64)
    np.testing.assert_array_equal(np.asarray(kept, dtype=np.float64), codes * scales)
    assert np.abs(codes).max(axis=1)[scales[:, 0] > 0].min() == 127


def test_compiled_code_reads_every_half_as_numpy_does() -> None:
    halves = np.arange(1 << 16, dtype=np.uint16)
    halves = halves[np.isfinite(halves.view(np.float16))]
    kept = ItemVectors(halves[:, None], 1)
    rows = np.arange(len(halves), dtype=np.int32)[None]
    read = products(np.ones((1, 1), dtype=np.float32), kept.stored, rows)[0]
    np.testing.assert_array_equal(read, halves.view(np.float16).astype(np.float32))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("d", [1, 7, 32])
def test_search_is_exact_over_what_is_stored(form: Form, d: int) -> None:
    kept = ItemVectors.of(mixture(1, 400, d)).kept(form)
    queries = mixture(2, 20, d)
    rows, scores = ExactIndex(kept).search(queries, 30)
    same_rows, same_scores = ExactIndex(np.asarray(kept)).search(queries, 30)
    np.testing.assert_allclose(scores, same_scores, rtol=1e-5, atol=1e-5)
    slow = queries.astype(np.float64) @ np.asarray(kept, dtype=np.float64).T
    np.testing.assert_allclose(scores, -np.sort(-slow, axis=1)[:, :30], rtol=1e-5, atol=1e-5)
    assert (rows == same_rows).mean() > 0.99  # but for ties within a rounding


@pytest.mark.parametrize("form", COMPACT)
@pytest.mark.parametrize("spec", ["IVF32,PQ16x4fs", "IVF32,Flat", "HNSW16"])
def test_an_index_scores_what_is_stored(form: Form, spec: str, tmp_path: Path) -> None:
    kept = ItemVectors.of(mixture(1, 2000)).kept(form)
    index = FaissIndex.build(kept, IndexConfig(spec=spec, recall=0.95, k=40), mixture(2, 100))
    queries = mixture(3, 40)
    wanted, wanted_scores = ExactIndex(kept).search(queries, 40)
    rows, scores = index.search(queries, 40)
    assert recall(rows, wanted) > (0.85 if "HNSW" in spec else 0.9)
    ours = dict(zip(rows[0].tolist(), scores[0].tolist(), strict=True))
    theirs = dict(zip(wanted[0].tolist(), wanted_scores[0].tolist(), strict=True))
    shared = ours.keys() & theirs.keys()
    assert shared
    assert {row: ours[row] for row in shared} == {row: theirs[row] for row in shared}
    allow = Allow.of(np.random.default_rng(0).random(2000) < 0.3, len(queries))
    filtered = index.search(queries, 40, allow=allow)
    assert recall(filtered[0], ExactIndex(kept).search(queries, 40, allow=allow)[0]) > 0.9
    index.save(tmp_path / "index")
    kept.save(tmp_path / "vectors.npy")
    loaded = FaissIndex.load(tmp_path / "index", ItemVectors.load(tmp_path / "vectors.npy", 32))
    np.testing.assert_array_equal(loaded.search(queries, 40)[1], scores)
    np.testing.assert_array_equal(loaded.search(queries, 40, allow=allow)[0], filtered[0])


@pytest.mark.parametrize("form", FORMS)
def test_rows_that_are_written_to_are_found_as_they_are(form: Form, tmp_path: Path) -> None:
    path = tmp_path / "vectors.npy"
    ItemVectors.of(mixture(1, 500)).kept(form).save(path)
    before = path.read_bytes()
    own = ItemVectors.load(path, 32)
    vectors = own.with_room(520)
    assert (vectors.form, vectors.shape) == (form, (520, 32))
    assert not np.asarray(vectors)[500:].any()
    living = np.arange(520) < 500
    living[[500, 519]] = True
    base = FaissIndex.build(own, IndexConfig(spec="Flat"), mixture(2, 5))
    overlay = OverlayIndex(base, vectors, packed(living[None]))
    rows = np.array([3, 499, 500, 519], dtype=np.int32)
    vectors[rows] = 50 * mixture(7, 4)
    overlay.put(rows)
    queries = mixture(3, 10)
    wanted = ExactIndex(vectors).search(queries, 500, allow=Allow.of(living, 10))
    for mine, theirs in zip(overlay.search(queries, 500), wanted, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    vectors[rows[:2]] = own[rows[:2]]
    np.testing.assert_array_equal(vectors.part(0, 500).stored, own.stored)
    vectors[:] = 0
    assert not np.asarray(vectors).any()
    assert path.read_bytes() == before


def test_what_is_mapped_from_a_file_is_not_written_to(tmp_path: Path) -> None:
    ItemVectors.of(mixture(1, 5)).save(tmp_path / "vectors.npy")
    with pytest.raises(ValueError, match="read-only"):
        ItemVectors.load(tmp_path / "vectors.npy", 32)[0] = 1


@pytest.mark.parametrize("form", FORMS)
def test_a_file_of_other_vectors_is_refused(form: Form, tmp_path: Path) -> None:
    path = tmp_path / "vectors.npy"
    ItemVectors.of(mixture(1, 5)).kept(form).save(path)
    assert ItemVectors.load(path, 32).form == form
    with pytest.raises(BundleError, match=r"vectors\.npy holds"):
        ItemVectors.load(path, 31)
    for other in (np.zeros((5, 32)), np.zeros((5, 32), dtype=np.int16), np.zeros(5, dtype=np.int8)):
        np.save(path, other)
        with pytest.raises(BundleError, match=r"vectors\.npy holds"):
            ItemVectors.load(path, 32)
    path.write_bytes(b"no array")
    with pytest.raises(BundleError, match=r"vectors\.npy cannot be read"):
        ItemVectors.load(path, 32)


def test_a_number_that_float16_does_not_reach_is_named() -> None:
    vectors = mixture(1, 9)
    vectors[7, 3] = -70_000
    with pytest.raises(DataError, match=r"row 7 has the number -70000, and float16 reaches 65504"):
        ItemVectors.of(vectors).kept("float16")
    assert np.asarray(ItemVectors.of(vectors).kept("int8"))[7, 3] == pytest.approx(-70_000, rel=1e-4)
    written = ItemVectors.of(mixture(1, 9)).kept("float16")
    written[7] = vectors[7]
    assert written[7][3] == -65_504


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_no_number_stays_none(form: Form, bad: float) -> None:
    vectors = mixture(1, 9)
    vectors[4, 2] = bad
    kept = ItemVectors.of(vectors).kept(form)
    assert not np.isfinite(kept[4]).all()
    assert np.isfinite(np.delete(np.asarray(kept), 4, axis=0)).all()
    with pytest.raises(DataError, match="row 4 has a NaN"):
        ExactIndex(kept)


@pytest.mark.parametrize("form", COMPACT)
def test_diversity_is_that_of_the_stored_directions(form: Form) -> None:
    kept = ItemVectors.of(mixture(1, 60)).kept(form)
    plain = ItemVectors.of(np.asarray(kept))
    items = np.arange(60, dtype=np.int32).reshape(2, 30)
    relevance = np.random.default_rng(0).random((2, 30)).astype(np.float32)
    one_tier = np.zeros((0, 0), dtype=np.int8)
    for pick in (mmr, dpp):
        picks = []
        for vectors in (kept, plain):
            chosen = np.zeros((2, 8), dtype=np.int64)
            pick(vectors.stored, items, relevance, one_tier, 0.6, chosen, np.zeros((2, 8), dtype=np.float32))
            picks.append(chosen)
        np.testing.assert_array_equal(*picks)
    tiers = np.zeros(30, dtype=np.int32)
    units = [directions(v.stored, items[0], relevance[0], tiers) for v in (kept, plain)]
    assert units[0].shape == (32, 30)
    np.testing.assert_allclose(*units, atol=1e-6)
