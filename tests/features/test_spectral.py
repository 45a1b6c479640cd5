from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from funnel.features.spectral import Spectral, spectral_vectors
from funnel.types import Log, Ragged, Requests


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


def dense_scores(data: Log, histories: list[list[int]], d: int) -> NDArray[np.float64]:
    """r D^-1/2 V V^T D^1/2, written out."""
    matrix = np.zeros((data.n_users, data.n_items))
    matrix[data.users, data.items] = 1
    rows, columns = np.maximum(matrix.sum(1, keepdims=True), 1), np.maximum(matrix.sum(0), 1)
    v = np.linalg.svd(matrix / np.sqrt(rows * columns))[2][:d].T
    met = np.zeros((len(histories), data.n_items))
    for row, history in enumerate(histories):
        met[row, history] = 1
    return (met / np.sqrt(columns)) @ v @ v.T * np.sqrt(columns)


def requests_of(histories: list[list[int]]) -> Requests:
    n, history = len(histories), Ragged.from_lists(histories)
    times = Ragged(np.zeros(len(history.values), np.int64), history.offsets)
    return Requests(np.arange(n, dtype=np.int32), np.zeros(n, np.int64), history, times)


def test_scores_are_those_of_the_dense_filter(tmp_path: Path) -> None:
    data = random_log(2)
    spectral = Spectral.fit(data, 5)
    assert spectral is not None
    histories = [[0, 3, 7], [], [2, 14]]
    queries = spectral.encode(requests_of([[0, 3, 7, 3, -1], [], [2, 14]]))
    want = dense_scores(data, histories, 5)
    np.testing.assert_allclose(queries @ spectral.item_vectors.T, want, atol=1e-5)
    spectral.save(tmp_path)
    again = Spectral.load(tmp_path)
    np.testing.assert_array_equal(again.encode(requests_of(histories)), queries)
    np.testing.assert_array_equal(again.item_vectors, spectral.item_vectors)


def test_there_is_no_filter_over_an_order_or_over_nothing() -> None:
    assert Spectral.fit(replace(random_log(3), clock="order")) is None
    assert Spectral.fit(log([], [], 3, 2)) is None


def test_groups_that_share_no_user_give_the_same_bytes_each_time() -> None:
    """Their singular values are all 1: which directions stand for them is a choice, the same each time."""
    rng = np.random.default_rng(3)
    groups, sizes, starts = rng.integers(0, 6, 150), rng.integers(2, 5, 150), rng.integers(0, 4, 150)
    walks = zip(groups, sizes, starts, strict=True)
    items = [int(5 * group + (start + k) % 4) for group, size, start in walks for k in range(size)]
    data = log(np.repeat(np.arange(150), sizes).tolist(), items, 150, 30)
    assert len({spectral_vectors(data, 16).tobytes() for _ in range(30)}) == 1
