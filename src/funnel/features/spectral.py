"""The graph of users and items, and its low frequencies as item vectors, without learning."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from funnel.distinct import distinct
from funnel.types import Float32, Log

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


def normalised(log: Log) -> csr_matrix:
    """D_u^-1/2 R D_i^-1/2, R the 0/1 matrix of users and items and D its counts: float64 [n_users,
    n_items].
    """
    from scipy.sparse import csr_matrix  # a tenth of a second that an answer does not need

    pairs = distinct(log.users.astype(np.int64) * log.n_items + log.items)
    users, items = pairs // log.n_items, pairs % log.n_items
    counts = (
        np.bincount(users, minlength=log.n_users)[users] * np.bincount(items, minlength=log.n_items)[items]
    )
    return csr_matrix((counts**-0.5, (users, items)), shape=(log.n_users, log.n_items))


def spectral_vectors(log: Log, d: int, *, seed: int = 0) -> Float32:
    """The d strongest directions of the normalised user-item matrix: float32 [n_items, d], row by row.

    Right singular vectors of `normalised` times their singular values (the graph's low frequencies: Shen et
    al. 2021, GF-CF, arXiv 2108.07567). Scaled so that the mean square of all entries is 1. Rows of items
    without an event are 0; so are columns beyond what the matrix has. The sign of a direction is that of its
    largest entry.
    """
    vectors = np.zeros((log.n_items, d), dtype=np.float32)
    axes, strength = directions(normalised(log), d, seed)
    scaled = axes * strength
    scaled *= np.sign(scaled[np.abs(scaled).argmax(0), np.arange(len(strength))]) if len(strength) else 1
    vectors[:, : len(strength)] = scaled / max(np.sqrt(np.mean(scaled**2)), 1e-12) if scaled.size else 0
    return vectors


def directions(matrix: csr_matrix, d: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The strongest right singular vectors, float64 [n_items, ≤ d], and their values, falling.

    The steps of `scipy.sparse.linalg.svds`, which leaves the generator of its restarts to chance: where
    singular values are equal, as those of groups of items that share no user, that gave other vectors
    with each call.
    """
    from scipy.sparse.linalg import LinearOperator, eigsh

    possible = min(d, min(matrix.shape) - 1, matrix.nnz)
    if possible < 1:
        return np.zeros((matrix.shape[1], 0)), np.zeros(0)
    wide = matrix.shape[0] < matrix.shape[1]
    tall = (matrix.T if wide else matrix).tocsr()
    rng = np.random.default_rng(seed)
    start = rng.normal(size=tall.shape[1])
    back = tall.T.tocsr()
    gram = LinearOperator((len(start),) * 2, matvec=lambda x: back @ (tall @ x), dtype=np.float64)
    vectors = np.linalg.qr(eigsh(gram, possible, v0=start, rng=rng)[1])[0]
    left, strength, right = np.linalg.svd(tall @ vectors, full_matrices=False)
    return (left if wide else vectors @ right.T), strength
