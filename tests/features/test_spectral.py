from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from funnel.features import graph_filter
from funnel.features.graph_filter import fit_spectral, plateau
from funnel.features.neighbours import Neighbours
from funnel.features.spectral import normalised, spectral_vectors
from funnel.types import Log, Ragged


def log(users: list[int], items: list[int], n_users: int, n_items: int) -> Log:
    zeros = np.zeros(len(users), dtype=np.int64)
    return Log(np.array(users, np.int32), np.array(items, np.int32), zeros, n_users, n_items, "none")


def random_log(seed: int, n_users: int = 40, n_items: int = 15) -> Log:
    met = np.random.default_rng(seed).random((n_users, n_items)) < 0.3
    met[:, -1] = False  # an item without an event
    users, items = np.nonzero(met)
    return log(users.tolist(), items.tolist(), n_users, n_items)


def test_directions_are_those_of_the_dense_decomposition() -> None:
    data = random_log(0)
    matrix = np.zeros((data.n_users, data.n_items))
    matrix[data.users, data.items] = 1
    rows, columns = matrix.sum(1, keepdims=True), matrix.sum(0, keepdims=True)
    _, strength, directions = np.linalg.svd(matrix / np.sqrt(np.maximum(rows, 1) * np.maximum(columns, 1)))
    want = (directions[:4] * strength[:4, None]).T
    want /= np.sqrt((want**2).mean())
    got = spectral_vectors(data, 4)
    np.testing.assert_allclose(got @ got.T, want @ want.T, atol=1e-4)
    assert np.mean(got**2) == pytest.approx(1, abs=1e-5)
    assert not got[-1].any()


def test_items_of_the_same_people_lie_together() -> None:
    users = [u for u in range(40) for _ in range(4)]
    items = [(u % 2) * 5 + (u + k) % 5 for u in range(40) for k in range(4)]
    vectors = spectral_vectors(log(users, items, 40, 10), 2)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    assert (unit[:5] @ unit[:5].T).min() > 0.99
    assert np.abs(unit[:5] @ unit[5:].T).max() < 0.99


def test_repeats_count_once_and_the_same_log_gives_the_same_bytes() -> None:
    data = random_log(1)
    twice = data.where(np.tile(np.arange(len(data)), 2))
    assert spectral_vectors(data, 3).tobytes() == spectral_vectors(twice, 3).tobytes()


@pytest.mark.parametrize(("users", "items"), [([], []), ([0], [0]), ([0, 1], [1, 1])])
def test_what_is_not_there_is_zero(users: list[int], items: list[int]) -> None:
    vectors = spectral_vectors(log(users, items, 3, 2), 8)
    assert vectors.shape == (2, 8)
    assert np.isfinite(vectors).all()
    assert not vectors[:, 1:].any()


def dense_filter(data: Log) -> NDArray[np.float64]:
    """D^β [h(L̃) + α V Vᵀ] D^−β written out, h by the eigenvalues of L̃; a column is what an item gives."""
    everything = np.zeros((data.n_users, data.n_items))
    everything[data.users, data.items] = 1
    known = everything.any(0)
    matrix = everything[:, known]
    rows, columns = np.maximum(matrix.sum(1, keepdims=True), 1), matrix.sum(0)
    walk = matrix / np.sqrt(rows * columns)
    frequencies, modes = np.linalg.eigh(np.eye(len(columns)) - 2 * walk.T @ walk)
    through = modes @ np.diag(interpolated(frequencies)) @ modes.T
    strongest = np.linalg.svd(walk)[2][: min(walk.shape) - 1].T
    filtered = through + 0.2 * strongest @ strongest.T
    whole = np.zeros((data.n_items, data.n_items))
    whole[np.ix_(known, known)] = columns[:, None] ** 0.4 * filtered / columns**0.4
    return whole


def interpolated(frequencies: NDArray[np.float64]) -> NDArray[np.float64]:
    """The polynomial of degree 8 through the plateau at nine points, by Lagrange's formula."""
    nodes = np.cos(np.pi * np.arange(9) / 8)
    heights = 0.5 - 0.5 * np.sign(nodes) * np.abs(nodes) ** 1.5
    heights[4] = 0.5  # at 0, up to rounding
    total = np.zeros_like(frequencies)
    for i, height in enumerate(heights):
        others = np.delete(nodes, i)
        total += height * np.prod((frequencies[:, None] - others) / (nodes[i] - others), axis=1)
    return total


@pytest.mark.parametrize("n_items", [15, 150])
def test_lists_are_the_strongest_entries_of_the_dense_filter(n_items: int) -> None:
    data = random_log(2, n_items=n_items)
    lists = fit_spectral(data, n=5)
    assert lists is not None
    want = dense_filter(data)
    np.fill_diagonal(want, -np.inf)
    for item in range(n_items):
        rows, weights = lists.of(item)
        best = np.sort(want[:, item])[::-1][:5]
        np.testing.assert_allclose(weights, best[best > 0], rtol=1e-4)
        np.testing.assert_allclose(want[rows, item], weights, rtol=1e-4)


def test_it_is_whole_where_all_entries_are_kept(tmp_path: Path) -> None:
    """A history's scores are those of the filter itself, and the same from files."""
    data = random_log(2)
    lists = fit_spectral(data, n=data.n_items, folder=tmp_path)
    assert lists is not None
    history, everything = (
        Ragged.from_lists([[0, 3, 7, 3], [2, 14]]),
        np.tile(np.arange(15, dtype=np.int32), (2, 1)),
    )
    want = np.maximum(dense_filter(data), 0)
    np.fill_diagonal(want, 0)
    scores = lists.scores(history, everything)
    np.testing.assert_allclose(scores[0], want[:, [0, 3, 7]].sum(1), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(scores[1], want[:, 2], rtol=1e-4, atol=1e-6)
    again = Neighbours.load(tmp_path, "spectral", decay=1.0, reach=1000)
    assert again.scores(history, everything).tobytes() == scores.tobytes()


def test_there_is_no_filter_over_an_order_or_over_nothing() -> None:
    assert fit_spectral(replace(random_log(3), clock="order")) is None
    assert fit_spectral(log([], [], 3, 2)) is None


def test_of_very_many_events_those_of_some_users_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    data = random_log(4, n_users=400)
    whole = fit_spectral(data)
    monkeypatch.setattr(graph_filter, "MOST_WORK", 0.5 * len(data) * 14)
    read: list[int] = []
    monkeypatch.setattr(graph_filter, "normalised", lambda log: read.append(len(log)) or normalised(log))
    some, again, other = (fit_spectral(data, seed=seed) for seed in (1, 1, 2))
    assert whole is not None
    assert some is not None
    assert again is not None
    assert other is not None
    assert all(0.35 * len(data) < events < 0.65 * len(data) for events in read)
    assert some.weights.tobytes() == again.weights.tobytes() != other.weights.tobytes()
    assert whole.weights.tobytes() != some.weights.tobytes()


def test_low_frequencies_pass_and_high_ones_do_not() -> None:
    ends = np.polynomial.chebyshev.chebval(np.array([-1.0, 0.0, 1.0]), plateau(8, 1.5))
    np.testing.assert_allclose(ends, [1.0, 0.5, 0.0], atol=1e-9)


def test_groups_that_share_no_user_give_the_same_bytes_each_time() -> None:
    """Their singular values are all 1: which directions stand for them is a choice, the same each time."""
    rng = np.random.default_rng(3)
    groups, sizes, starts = rng.integers(0, 6, 150), rng.integers(2, 5, 150), rng.integers(0, 4, 150)
    walks = zip(groups, sizes, starts, strict=True)
    items = [int(5 * group + (start + k) % 4) for group, size, start in walks for k in range(size)]
    data = log(np.repeat(np.arange(150), sizes).tolist(), items, 150, 30)
    assert len({spectral_vectors(data, 16).tobytes() for _ in range(30)}) == 1
