"""Embeddings smoothed over who interacted with what: light graph convolution, seen from the items."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from funnel.features.spectral import normalised
from funnel.types import Log


class Smoother:
    """x -> (x + S x + … + S^hops x) / (hops + 1), S = A^T A, A = D_u^-1/2 R D_i^-1/2: [n_items, d].

    R is the 0/1 matrix of who interacted with what, D the counts. LightGCN's propagation (He et al. 2020,
    arXiv 2002.02126) with nothing learned for users, who then need not be known. An item without an event
    keeps its own share only.
    """

    def __init__(self, log: Log, hops: int, device: str | torch.device = "cpu") -> None:
        matrix = normalised(log).astype(np.float32)
        self._hops = hops
        self._there, self._back = (_tensor(part).to(device) for part in (matrix, matrix.T.tocsr()))

    def __call__(self, x: Tensor) -> Tensor:
        smoothed: Tensor = _Smooth.apply(x, self)  # type: ignore[no-untyped-call]
        return smoothed

    def __deepcopy__(self, memo: dict[int, Any]) -> Smoother:
        """Itself: it never changes."""
        return self

    def mix(self, x: Tensor) -> Tensor:
        """Without a gradient."""
        total = x
        for _ in range(self._hops):
            x = self._back @ (self._there @ x)
            total = total + x
        return total / (self._hops + 1)


class _Smooth(torch.autograd.Function):
    """The operator is symmetric: it is its own gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, smoother: Smoother) -> Tensor:
        ctx.smoother = smoother
        return smoother.mix(x)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return ctx.smoother.mix(grads[0].contiguous()), None


def _tensor(matrix: csr_matrix) -> Tensor:
    starts, columns = (torch.from_numpy(part.astype(np.int64)) for part in (matrix.indptr, matrix.indices))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls its sparse tensors a beta
        return torch.sparse_csr_tensor(starts, columns, torch.from_numpy(matrix.data), size=matrix.shape)
