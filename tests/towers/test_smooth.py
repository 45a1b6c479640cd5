from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from funnel.towers.training.smooth import Smoother
from funnel.types import Log


def log() -> Log:
    users = np.array([0, 0, 1, 1, 1, 2, 2, 0], np.int32)
    items = np.array([0, 1, 1, 2, 3, 0, 3, 1], np.int32)  # the last is a repeat; item 4 was never met
    return Log(users, items, np.zeros(8, np.int64), 4, 5, "none")


@pytest.mark.parametrize("hops", [1, 2, 3])
def test_smoothing_is_the_dense_polynomial_and_so_is_its_gradient(hops: int) -> None:
    data = log()
    met = np.zeros((4, 5))
    met[data.users, data.items] = 1
    scale = np.sqrt(np.maximum(met.sum(1, keepdims=True), 1) * np.maximum(met.sum(0), 1))
    step = (met / scale).T @ (met / scale)
    dense = sum(np.linalg.matrix_power(step, n) for n in range(hops + 1)) / (hops + 1)
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    weights = torch.arange(15.0).view(5, 3)
    got = Smoother(data, hops)(x)
    torch.testing.assert_close(got, torch.tensor(dense, dtype=torch.float32) @ x)
    (gradient,) = torch.autograd.grad((got * weights).sum(), x)
    torch.testing.assert_close(gradient, torch.tensor(dense, dtype=torch.float32) @ weights)


def test_a_copied_model_shares_the_graph() -> None:
    smoother = Smoother(log(), 1)
    assert copy.deepcopy([smoother])[0] is smoother
