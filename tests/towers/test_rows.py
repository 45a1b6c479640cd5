"""A table of which each step touches few rows is trained and averaged as if each step touched all."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from funnel.features.encoders import Spec
from funnel.towers.config import TowersConfig
from funnel.towers.training.averaging import Averaging
from funnel.towers.training.batches import sequences
from funnel.towers.training.rows import LazyRows
from funnel.towers.training.trainer import Trainer
from funnel.types import Log

N, D, LR, DECAY = 7, 4, 0.05, 0.1


def random_steps(number: int, seed: int = 0) -> list[tuple[Tensor, Tensor]]:
    """Rows and their gradients; row 5 is touched in the first step and never again, row 6 never."""
    rng = torch.Generator().manual_seed(seed)
    made = []
    for step in range(number):
        rows = torch.nonzero(torch.rand(5, generator=rng) < 0.3).flatten()
        rows = torch.cat([rows, torch.tensor([5])]) if step == 0 else rows
        made.append((rows, torch.randn(len(rows), D, generator=rng)))
    return made


class Dense:
    """The same written down for one row at a time and every step, in float64: nothing is left for later."""

    def __init__(self, weights: Tensor, averaging: float) -> None:
        self.weights = weights.double().clone()
        self.average, self.second = self.weights.clone(), torch.zeros(len(weights), dtype=torch.float64)
        self._owed = torch.zeros(len(weights), dtype=torch.int64)  # steps of weight decay
        self._averaging, self.steps = averaging, 0

    def step(self, rows: Tensor, gradient: Tensor) -> None:
        self.steps += 1
        touched = dict(zip(rows.tolist(), gradient.double(), strict=True))
        for row in range(len(self.weights)):
            square = touched[row].pow(2).mean() if row in touched else 0.0
            self.second[row] = 0.999 * self.second[row] + 0.001 * square
            self._owed[row] += 1
            if row in touched:
                self.decay(row)
                size = (self.second[row] / (1 - 0.999**self.steps)).sqrt() + 1e-8
                self.weights[row] -= LR * touched[row] / size
            kept = min(self._averaging, self.steps / (self.steps + 10))
            self.average[row] = kept * self.average[row] + (1 - kept) * self.weights[row]

    def decay(self, row: int) -> None:
        """Weights decay when they are touched, for all steps since."""
        self.weights[row] *= (1 - LR * DECAY) ** int(self._owed[row])
        self._owed[row] = 0


@pytest.mark.parametrize("averaging", [0.0, 0.5, 0.99, 0.9999])
@pytest.mark.parametrize("ends", [(60,), (3, 4, 30, 31, 60)])
def test_what_is_made_up_for_later_is_what_every_step_would_have_done(
    averaging: float, ends: tuple[int, ...]
) -> None:
    """ends: steps after which an epoch ends."""
    start = torch.randn(N, D, generator=torch.Generator().manual_seed(1))
    weights, average, dense = start.clone(), start.clone(), Dense(start, averaging)
    lazy = LazyRows(weights, average, Averaging(averaging), LR, DECAY)
    for number, (rows, gradient) in enumerate(random_steps(60), 1):
        lazy.step(rows, gradient, number)
        dense.step(rows, gradient)
        torch.testing.assert_close(weights[rows].double(), dense.weights[rows], rtol=1e-5, atol=1e-6)
        if number in ends:
            lazy.settle(number)
            torch.testing.assert_close(average.double(), dense.average, rtol=1e-5, atol=1e-6)
            torch.testing.assert_close(
                lazy.state()["second"][:, 0].double(), dense.second, rtol=1e-5, atol=1e-9
            )
            for row in range(N):
                dense.decay(row)
            torch.testing.assert_close(weights.double(), dense.weights, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("averaging", [0.0, 0.3, 0.99])
def test_the_mean_over_many_steps_keeps_the_product_of_what_each_keeps(averaging: float) -> None:
    mean = Averaging(averaging)
    for first, last in ((0, 0), (0, 1), (0, 40), (7, 5000), (3000, 3001), (1200, 1200)):
        want = float(np.prod([mean.kept(step) for step in range(first + 1, last + 1)]))
        assert float(mean.over(torch.tensor([first]), last)) == pytest.approx(want, rel=1e-6, abs=1e-37)


def test_a_row_that_no_step_touches_is_left_alone() -> None:
    start = torch.randn(N, D, generator=torch.Generator().manual_seed(1))
    weights, average = start.clone(), start.clone()
    lazy = LazyRows(weights, average, Averaging(0.99), LR, 0.0)
    for number, (rows, gradient) in enumerate(random_steps(20), 1):
        lazy.step(rows, gradient, number)
    assert torch.equal(weights[6], start[6])
    lazy.settle(20)
    torch.testing.assert_close(average[6], start[6])


def test_a_restored_optimiser_goes_on_to_the_same_bits() -> None:
    start = torch.randn(N, D, generator=torch.Generator().manual_seed(1))
    pair = [start.clone(), start.clone()]
    lazy = LazyRows(*pair, Averaging(0.9), LR, DECAY)
    for number, (rows, gradient) in enumerate(random_steps(30), 1):
        lazy.step(rows, gradient, number)
    lazy.settle(30)
    other = copy.deepcopy(pair)
    again = LazyRows(*other, Averaging(0.9), LR, DECAY)
    again.restore(lazy.state(), 30)
    for number, (rows, gradient) in enumerate(random_steps(30, seed=5), 31):
        lazy.step(rows, gradient, number)
        again.step(rows, gradient, number)
    lazy.settle(60)
    again.settle(60)
    assert all(torch.equal(one, two) for one, two in zip(pair, other, strict=True))


class Work(TorchDispatchMode):
    """Numbers that operations have given, in all and by the largest of them; views are none."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = self.largest = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        there = {one.untyped_storage().data_ptr() for one in tree_leaves(args) if isinstance(one, Tensor)}
        if func.__name__.startswith("index_copy_"):
            self.numbers += args[3].numel()  # what is written, into a table of any size
            return out
        in_place = func.__name__.split(".")[0].endswith("_")
        for one in tree_leaves(out):
            if isinstance(one, Tensor) and (in_place or one.untyped_storage().data_ptr() not in there):
                self.numbers += one.numel()
                self.largest = max(self.largest, one.numel())
        return out


def step_of(n: int, **options: Any) -> tuple[Work, Trainer]:
    """What one step over a catalogue of n items makes: parts on one thread, so that all of it is seen."""
    rng = np.random.default_rng(0)
    users = np.repeat(np.arange(20, dtype=np.int32), 10)
    log = Log(users, rng.integers(0, n, 200).astype(np.int32), np.arange(200), 20, n, "time")
    columns = {"shop": rng.integers(0, 9, n).astype(np.int32)}
    config = TowersConfig(d=8, heads=1, layers=1, history=5, negatives=64, batch=10_000, **options)
    made = Trainer(log, columns, {"shop": Spec("category", 9, 1)}, {}, {}, None, config, 0)
    made.start()
    step = next(made._steps(sequences(log, 5, rng), rng))
    with Work() as work:
        made._optimiser.zero()
        made._optimiser.step(made._objective(step, np.random.default_rng(1), Inline())[1])
    return work, made


class Inline:
    """A pool whose work is done by the caller, where it can be counted."""

    def map(self, function: Any, *values: Any) -> Any:
        return map(function, *values)


def test_a_step_costs_the_same_for_a_hundred_times_the_items() -> None:
    """Counted in numbers that are computed: the rows that it names, and no tensor as large as the table."""
    small, _ = step_of(3_000, loss="sampled_softmax")
    large, made = step_of(300_000, loss="sampled_softmax")
    assert large.numbers <= 1.1 * small.numbers
    assert large.largest < 300_000
    assert made._optimiser._rows is not None
    touched = int((made._optimiser._rows._rows.last == 1).sum())
    assert 150 <= touched <= 1 + 200 + 64  # the shared row, the log's items, the negatives


def test_a_loss_over_all_items_touches_all() -> None:
    work, _ = step_of(3_000, loss="full_softmax")
    assert work.largest >= 3_000 * 8
