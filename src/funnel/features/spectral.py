"""Item vectors without learning, from which users interacted with which items."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from funnel.features.arrays import frozen, load_array, save_array
from funnel.features.kernels import item_lists
from funnel.types import Float32, Log, Requests, growable

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

#: Directions that the low-pass filter lets through, as in GF-CF.
DIRECTIONS = 256

#: Above this many items a filter without a structure over its vectors would take too long a request.
MOST_ITEMS = 100_000


def normalised(log: Log) -> csr_matrix:
    """D_u^-1/2 R D_i^-1/2, R the 0/1 matrix of users and items and D its counts: float64 [n_users,
    n_items].
    """
    from scipy.sparse import csr_matrix  # a tenth of a second that an answer does not need

    pairs = np.unique(log.users.astype(np.int64) * log.n_items + log.items)
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
    directions, strength = _directions(normalised(log), d, seed)
    scaled = directions * strength
    scaled *= np.sign(scaled[np.abs(scaled).argmax(0), np.arange(len(strength))]) if len(strength) else 1
    vectors[:, : len(strength)] = scaled / max(np.sqrt(np.mean(scaled**2)), 1e-12) if scaled.size else 0
    return vectors


@dataclass(frozen=True, slots=True)
class Spectral:
    """Scores that keep only the graph's low frequencies: r D^-1/2 V V^T D^1/2 for a history r.

    V: the strongest directions of `normalised`, D the items' counts (Shen et al. 2021, GF-CF, arXiv
    2108.07567, its ideal low-pass filter). One vector an item is read from a history and another is
    multiplied with, so it is a pair of towers without learning.

    item_vectors: float32 [n_items, d], what a query is multiplied with. reads: float32 [n_items, d].
    """

    item_vectors: Float32
    reads: Float32

    @classmethod
    def fit(cls, log: Log, d: int = DIRECTIONS, *, seed: int = 0) -> Spectral | None:
        """d directions, or as many as the log has; an item without an event has the vector 0.

        None where the events have an order, which this does not read, or there are too many items or too few
        events.
        """
        if log.clock != "none" or log.n_items > MOST_ITEMS:
            return None
        directions, _ = _directions(normalised(log), d, seed)
        if not directions.size:
            return None
        counts = np.maximum(np.bincount(log.items, minlength=log.n_items), 1)[:, None]
        return cls(
            frozen(directions * counts**0.5, np.float32), frozen(directions * counts**-0.5, np.float32)
        )

    def encode(self, requests: Requests) -> Float32:
        """The sum of the vectors of the history's items, each once: float32 [B, d]."""
        history = item_lists(requests.history, len(requests))
        out = np.zeros((len(requests), self.reads.shape[1]), dtype=np.float32)
        for row in range(len(requests)):
            items = np.unique(history.values[history.offsets[row] : history.offsets[row + 1]])
            out[row] = self.reads[items[(items >= 0) & (items < len(self.reads))]].sum(0)
        return out

    def extended(self, n_items: int) -> Spectral:
        """For a catalogue of n_items, whose further items have no events: their vectors are 0."""
        return Spectral(frozen(growable(self.item_vectors, n_items)), frozen(growable(self.reads, n_items)))

    def save(self, folder: Path) -> None:
        """Write `spectral.items.npy` and `spectral.reads.npy`."""
        save_array(folder, "spectral.items", self.item_vectors)
        save_array(folder, "spectral.reads", self.reads)

    @classmethod
    def load(cls, folder: Path) -> Spectral:
        """Memory-mapped. Raises BundleError when a file is missing or of another shape."""
        items = load_array(folder, "spectral.items", "float32", None, None)
        return cls(items, load_array(folder, "spectral.reads", "float32", *items.shape))


def _directions(matrix: csr_matrix, d: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
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
