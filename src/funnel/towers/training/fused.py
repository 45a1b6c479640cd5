"""Parts of a layer that go through their numbers once, forward and back: on the CPU, in training.

Step by step in torch, what stands between two products (a bias, a mask, a softmax, a dropout) takes longer
than the products.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from funnel.towers.training import fused_kernels as kernels


def takes(x: Tensor) -> bool:
    """Whether it is what is worked on here: float32, on the CPU."""
    return x.is_cpu and x.dtype == torch.float32


def gelu(x: Tensor, drawn: Tensor, below: int) -> Tensor:
    """What a dropout leaves of x Φ(x), any shape. drawn: uint8 of that shape; a number with one below `below`
    is zeroed, the others are scaled up."""
    value: Tensor = _Gelu.apply(x, drawn, below)  # type: ignore[no-untyped-call]
    return value


def weights(
    logits: Tensor, bias: Tensor, first: Tensor, drawn: Tensor | None = None, below: int = 0
) -> Tensor:
    """What a dropout leaves of the softmax over what each place reads: [R, heads, n, n] of the same.

    Places read their list's places up to themselves, `bias` added: as `layers.Distance` has it for rows of
    several lists. drawn, below: as in `gelu`; default no dropout.
    """
    if drawn is None:
        drawn = torch.empty((0,) * logits.dim(), dtype=torch.uint8)
    value: Tensor = _Weights.apply(logits, bias, first, drawn, below)  # type: ignore[no-untyped-call]
    return value


class _Gelu(torch.autograd.Function):
    """The slope comes along with the value."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, drawn: Tensor, below: int) -> Tensor:
        value, slope = torch.empty_like(x), torch.empty_like(x)
        given, into = _arrays(x, drawn), _arrays(value, slope)
        kernels.gelu(*(some.reshape(-1) for some in given), below, *(some.reshape(-1) for some in into))
        ctx.save_for_backward(slope)
        return value

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        (slope,) = ctx.saved_tensors
        return slope * grads[0], None, None


class _Weights(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, bias: Tensor, first: Tensor, drawn: Tensor, below: int) -> Tensor:
        soft = torch.empty_like(logits)
        kept = torch.empty_like(logits) if below else soft
        kernels.weights(*_arrays(logits, bias, first, drawn), below, *_arrays(soft, kept))
        ctx.save_for_backward(soft, bias, first, drawn)
        ctx.below = below
        return kept

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        soft, bias, first, drawn = ctx.saved_tensors
        of_logits, of_bias = torch.empty_like(soft), torch.empty_like(bias)
        given = _arrays(grads[0].contiguous(), soft, first, drawn)
        kernels.back_weights(*given, ctx.below, *_arrays(of_logits, of_bias))
        return of_logits, of_bias, None, None, None


def _arrays(*tensors: Tensor) -> list[Any]:
    return [tensor.detach().numpy() for tensor in tensors]
