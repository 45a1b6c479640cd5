"""A step in parts on threads of their own gives the loss and the gradients of the step as a whole."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from funnel.errors import FunnelError
from funnel.plugins import register, registry
from funnel.towers.config import TowersConfig
from funnel.towers.training.batches import Packed, sequences
from funnel.towers.training.devices import Device
from funnel.towers.training.lookup import Touched
from funnel.towers.training.losses import FullSoftmax
from funnel.towers.training.model import TwoTowers, tensors
from funnel.towers.training.objective import Objective
from funnel.towers.training.steps import steps
from funnel.towers.training.workers import Replica
from funnel.types import Clock, Log
from tests.towers.world import ITEM_SPECS, N_ITEMS, USER_SPECS, item_table, user_table

N_USERS = 12


def towers(clock: Clock, **options: Any) -> tuple[TwoTowers, Objective, Log]:
    rng = np.random.default_rng(3)
    users = np.repeat(np.arange(N_USERS, dtype=np.int32), 9)
    items = np.concatenate([rng.permutation(N_ITEMS)[:9] for _ in range(N_USERS)]).astype(np.int32)
    log = Log(users, items, np.arange(len(users)), N_USERS, N_ITEMS, clock)
    config = TowersConfig(
        d=16, heads=2, layers=1, history=6, dropout=0.0, id_dropout=0.0, negatives=30, **options
    )
    torch.manual_seed(0)
    model = TwoTowers(config, ITEM_SPECS, USER_SPECS, np.ones(N_ITEMS, dtype=np.bool_), clock)
    columns = (
        tensors(item_table(), list(ITEM_SPECS)),
        tensors(user_table(np.arange(N_USERS) % 5, rng), list(USER_SPECS)),
    )
    counts = np.bincount(log.items, minlength=N_ITEMS)
    return model, Objective(config, model, counts, *columns, clock), log


def gradients(clock: Clock, parts: int, **options: Any) -> tuple[float, dict[str, Tensor]]:
    """Of the first step."""
    model, objective, log = towers(clock, **options)
    step = next(steps(sequences(log, 6, np.random.default_rng(0)), 60, np.random.default_rng(1), parts))
    assert len(step.parts) == parts
    with ThreadPoolExecutor(parts) as pool:
        loss, touched = objective(step, np.random.default_rng(2), pool)
    return loss, gradients_of(model, touched)


def gradients_of(model: TwoTowers, touched: Touched) -> dict[str, Tensor]:
    """Of all weights that have one, those of the items' ids as a whole table."""
    ids = torch.zeros_like(model.items.ids)
    ids[slice(None) if touched.rows is None else touched.rows] = touched.gradient
    others = {name: w.grad for name, w in model.named_parameters() if w.grad is not None}
    return {"items.ids": ids, **others}


@pytest.mark.parametrize("clock", ["time", "none"])
@pytest.mark.parametrize("loss", ["full_softmax", "sampled_softmax", "gbce"])
def test_two_parts_have_the_gradients_of_the_whole(clock: Clock, loss: str) -> None:
    whole, expected = gradients(clock, 1, loss=loss)
    value, found = gradients(clock, 2, loss=loss)
    assert value == pytest.approx(whole, rel=1e-5)
    assert found.keys() == expected.keys()
    assert {name.split(".")[0] for name in found} == {"items", "query"} | (
        {"log_scale"} if clock == "time" else set()
    )
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-6, rtol=1e-4, msg=name)


def test_the_gradients_are_those_of_a_plain_cross_entropy() -> None:
    _, found = gradients("time", 2, loss="full_softmax")
    model, objective, log = towers("time", loss="full_softmax")
    (step,) = next(steps(sequences(log, 6, np.random.default_rng(0)), 60, np.random.default_rng(1))).parts
    assert isinstance(step, Packed)
    vectors = model.items(torch.arange(N_ITEMS), tensors(item_table(), list(ITEM_SPECS)))
    user = [column[torch.from_numpy(step.users)] for column in objective._users]
    arrays = (step.gaps, step.first, step.starts, step.asks)
    gaps, first, starts, asks = (torch.from_numpy(array) for array in arrays)
    history = vectors[torch.from_numpy(step.items)]
    queries = model.query.packed(history, gaps, user, first, starts, asks) * model.scale()
    F.cross_entropy(queries @ vectors.T, torch.from_numpy(step.targets)).backward()
    for name, weight in model.named_parameters():
        if name in found:
            torch.testing.assert_close(found[name], weight.grad, atol=1e-6, rtol=1e-4, msg=name)


def test_replicas_share_weights_and_draw_apart() -> None:
    config = TowersConfig(d=16, heads=2, layers=1, history=6, dropout=0.5)
    query = TwoTowers(config, ITEM_SPECS, USER_SPECS, np.ones(N_ITEMS, dtype=np.bool_), "time").query
    one, two = Replica(query, Device()), Replica(query, Device())
    assert all(a is b for a, b in zip(query.parameters(), one.tower.parameters(), strict=True))
    ones = torch.ones(2000)

    def drawn(replica: Replica, seed: int) -> list[bool]:
        replica.seed(seed)
        return (replica.tower.dropout(ones) == 0).tolist()

    first = drawn(one, 1)
    assert drawn(two, 2) != first
    assert drawn(two, 1) == drawn(one, 1) == first
    assert 800 < sum(first) < 1200


def test_a_loss_of_others_that_is_none_in_one_part_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of funnel's own is not finite where training diverges: then the step's loss says so."""
    monkeypatch.setattr(registry, "_PLUGINS", dict(registry._PLUGINS))

    @register("loss", "of_others")
    def of_others(config: TowersConfig, n_items: int) -> FullSoftmax:
        return FullSoftmax()

    def loss_of(name: str) -> float:
        model, objective, log = towers("time", loss=name)
        step = next(steps(sequences(log, 6, np.random.default_rng(0)), 60, np.random.default_rng(1), 2))
        with torch.no_grad():
            model.query.start.fill_(float("nan"))
        with ThreadPoolExecutor(2) as pool:
            return objective(step, np.random.default_rng(2), pool)[0]

    assert np.isnan(loss_of("full_softmax"))
    with pytest.raises(FunnelError, match="loss 'of_others' does not do what it must"):
        loss_of("of_others")


@pytest.mark.parametrize("loss", ["full_softmax", "sampled_softmax", "gbce"])
def test_items_without_an_event_are_no_negatives_where_texts_tell_items_apart(loss: str) -> None:
    """Whatever such an item's columns say, the loss and the gradients are those without it."""
    unmet = 5

    def first(texts: bool, spoil: bool) -> tuple[float, dict[str, Tensor]]:
        rng = np.random.default_rng(3)
        users = np.repeat(np.arange(N_USERS, dtype=np.int32), 9)
        others = np.delete(np.arange(N_ITEMS), unmet)
        items = np.concatenate([rng.permutation(others)[:9] for _ in range(N_USERS)]).astype(np.int32)
        log = Log(users, items, np.arange(len(users)), N_USERS, N_ITEMS, "time")
        counts = np.bincount(log.items, minlength=N_ITEMS)
        config = TowersConfig(
            d=16, heads=2, layers=1, history=6, dropout=0.0, id_dropout=0.0, negatives=30, loss=loss
        )
        torch.manual_seed(0)
        model = TwoTowers(config, ITEM_SPECS, {}, counts > 0, "time")
        table = tensors(item_table(), list(ITEM_SPECS))
        if spoil:
            for column in table:
                column[unmet] = column[unmet] * 0 + (1e6 if column.dtype.is_floating_point else 1)
            with torch.no_grad():
                model.items.ids[0] = 9.0
        objective = Objective(config, model, counts, table, [], "time", texts=texts)
        step = next(steps(sequences(log, 6, np.random.default_rng(0)), 60, np.random.default_rng(1), 1))
        with ThreadPoolExecutor(1) as pool:
            value, touched = objective(step, np.random.default_rng(2), pool)
        return value, gradients_of(model, touched)

    plain, wanted = first(True, False)
    spoilt, found = first(True, True)
    if loss == "gbce":  # gives each item a probability of its own
        assert spoilt != plain
        return
    assert spoilt == plain
    for name, expected in wanted.items():
        assert torch.equal(found[name], expected), name
    if loss == "full_softmax":  # a few columns would have to tell them from others
        assert first(False, True)[0] != first(False, False)[0]
