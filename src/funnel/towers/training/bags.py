"""Means of embeddings, without the embeddings of all values at once."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

#: Rows whose gradient is added at once.
PART = 4096


def mean_embedding(table: Tensor, codes: Tensor) -> Tensor:
    """The mean of the vectors of the codes above 0 in each row; 0 where there is none: [n, d].

    table: [values, d]. codes: int32 or int64 [n, w]. Neither the value nor its gradient takes memory for
    n · w vectors, which for a title of 16 words are 16 times what is kept.
    """
    there = (codes > 0).to(table.dtype)
    total: Tensor = _Sum.apply(table, codes)  # type: ignore[no-untyped-call]
    return total / there.sum(1, keepdim=True).clamp(min=1)


class _Sum(torch.autograd.Function):
    """The gradient is added in the order of the rows, as that of `F.embedding` is, and to the same bits."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, codes: Tensor) -> Tensor:
        ctx.save_for_backward(codes)
        ctx.rows = len(table)
        return F.embedding_bag(codes, table, mode="sum", padding_idx=0)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        (codes,) = ctx.saved_tensors
        out = grads[0].new_zeros(ctx.rows, grads[0].shape[1])
        for at in range(0, len(codes), PART):
            part = codes[at : at + PART]
            there = part > 0
            out.index_add_(0, part[there], grads[0][at : at + PART].repeat_interleave(there.sum(1), 0))
        return out, None
