"""Item vectors without learning: where items lie by who met them."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import svds

from funnel.types import Float32, Log


def normalised(log: Log) -> csr_matrix:
    """D_u^-1/2 R D_i^-1/2, R the 0/1 matrix of who met what and D its counts: float64 [n_users, n_items]."""
    pairs = np.unique(log.users.astype(np.int64) * log.n_items + log.items)
    users, items = pairs // log.n_items, pairs % log.n_items
    met = np.bincount(users, minlength=log.n_users)[users] * np.bincount(items, minlength=log.n_items)[items]
    return csr_matrix((met**-0.5, (users, items)), shape=(log.n_users, log.n_items))


def spectral_vectors(log: Log, d: int, *, seed: int = 0) -> Float32:
    """The d strongest directions of the normalised user-item matrix: float32 [n_items, d], row by row.

    Right singular vectors of `normalised` times their singular values (the graph's low frequencies: Shen et
    al. 2021, GF-CF, arXiv 2108.07567). Scaled so that the mean square of all entries is 1. Rows of items
    without an event are 0; so are columns beyond what the matrix has. The sign of a direction is that of its
    largest entry.
    """
    vectors = np.zeros((log.n_items, d), dtype=np.float32)
    matrix = normalised(log)
    possible = min(d, min(matrix.shape) - 1, matrix.nnz)
    if possible < 1:
        return vectors
    start = np.random.default_rng(seed).normal(size=min(matrix.shape))
    _, strength, directions = svds(matrix, possible, v0=start)
    found = (directions * strength[:, None]).T[:, ::-1]
    found *= np.sign(found[np.abs(found).argmax(0), np.arange(possible)])
    vectors[:, :possible] = found / max(np.sqrt(np.mean(found**2)), 1e-12)
    return vectors
