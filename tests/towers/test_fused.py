"""What goes through its numbers once is what torch gives step by step."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from funnel.towers.training import fused
from funnel.towers.training.layers import Distance

Gradients = tuple[Tensor, ...]


def both(
    values: Tensor, others: Tensor, inputs: tuple[Tensor, ...], seed: int
) -> tuple[tuple[Tensor, Gradients], tuple[Tensor, Gradients]]:
    """Two results, and what the same gradient of each says about the inputs."""
    of = torch.randn(values.shape, generator=torch.Generator().manual_seed(seed))
    return (values, torch.autograd.grad(values, inputs, of)), (
        others,
        torch.autograd.grad(others, inputs, of),
    )


def are_close(one: tuple[Tensor, Gradients], other: tuple[Tensor, Gradients]) -> None:
    torch.testing.assert_close(one[0], other[0], rtol=1e-5, atol=2e-6)
    for mine, theirs in zip(one[1], other[1], strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=2e-5)


def kept(drawn: Tensor, below: int) -> Tensor:
    return (drawn >= below) / (1 - below / 256) if below else torch.ones(1)


def bytes_of(*shape: int) -> Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8)


@pytest.mark.parametrize("below", [0, 1, 77, 200])
@pytest.mark.parametrize("shape", [(1,), (3, 7), (5, 3, 400), (0, 4)])
def test_gelu_and_its_dropout(shape: tuple[int, ...], below: int) -> None:
    torch.manual_seed(0)
    x = (torch.randn(shape) * 3).requires_grad_()
    drawn = bytes_of(*shape)
    are_close(*both(fused.gelu(x, drawn, below), F.gelu(x) * kept(drawn, below), (x,), 1))


def test_gelu_of_what_is_far_out() -> None:
    x = torch.tensor([-1e30, -200.0, -20.0, -1e-20, 0.0, 1e-20, 20.0, 200.0, 1e30], requires_grad=True)
    value = fused.gelu(x, bytes_of(9), 0)
    (slope,) = torch.autograd.grad(value.sum(), x)
    torch.testing.assert_close(value, F.gelu(x), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(slope, torch.tensor([0, 0, 0, 0.5, 0.5, 0.5, 1, 1, 1]), rtol=0, atol=1e-6)


def test_what_is_no_number_stays_none() -> None:
    x = torch.tensor([1.0, float("nan"), 2.0])
    assert fused.gelu(x, bytes_of(3), 0).isnan().tolist() == [False, True, False]
    logits = torch.zeros(1, 1, 3, 3)
    logits[0, 0, 1] = float("nan")
    drawn = bytes_of(1, 1, 3, 3)
    found = fused.weights(logits, torch.zeros(1, 4), torch.zeros(1, 3, dtype=torch.int64), drawn, 0)
    assert found.isnan().any(-1).tolist() == [[[False, True, False]]]


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_weights_of_rows_of_several_lists(data: Any) -> None:
    n, rows = data.draw(st.integers(1, 70)), data.draw(st.integers(1, 4))
    heads, below = data.draw(st.integers(1, 3)), data.draw(st.sampled_from([0, 77, 200]))
    torch.manual_seed(data.draw(st.integers(0, 1000)))
    distance = Distance(heads, n + 3, slope=1.0)
    with torch.no_grad():
        distance.bias.add_(torch.randn(distance.bias.shape))
    starts = torch.rand(rows, n) < data.draw(st.sampled_from([0.0, 0.1, 0.9]))
    starts[:, 0] = True
    first = torch.where(starts, torch.arange(n), 0).cummax(1).values
    logits = (torch.randn(rows, heads, n, n) * 4).requires_grad_()
    drawn = bytes_of(rows, heads, n, n)

    found = fused.weights(logits, distance.bias, first, drawn, below)
    step_by_step = (logits + distance(n, first)).softmax(-1) * kept(drawn, below)

    are_close(*both(found, step_by_step, (logits, distance.bias), 2))
    later = torch.arange(n) > torch.arange(n)[:, None]
    other = torch.arange(n) < first[:, :, None]
    assert not found[(later | other)[:, None].expand_as(found)].any()
