from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch

from funnel.towers.config import TowersConfig
from funnel.towers.model import ItemTower, QueryTower, tensors

from .world import COLD, ITEM_SPECS, N_ITEMS, USER_SPECS, item_table, user_table

Encoder = Literal["transformer", "pooled"]
ENCODERS = pytest.mark.parametrize("encoder", ["transformer", "pooled"])


def query_tower(encoder: Encoder, **options: object) -> QueryTower:
    torch.manual_seed(0)
    config = TowersConfig(encoder=encoder, d=16, history=8, heads=4, layers=2, **options)  # type: ignore[arg-type]
    tower = QueryTower(config, USER_SPECS, "time").eval()
    with torch.no_grad():  # away from the start, where much is zero or equal
        for p in tower.parameters():
            p.add_(0.3 * torch.randn_like(p))
    return tower


def inputs(b: int = 3, length: int = 8) -> tuple[torch.Tensor, torch.Tensor, list[torch.Tensor]]:
    rng = np.random.default_rng(0)
    user = tensors(user_table(np.arange(b), rng), list(USER_SPECS))
    return torch.randn(b, length, 16), torch.randint(0, 20, (b, length)), user


@ENCODERS
def test_a_query_does_not_see_what_comes_later(encoder: Encoder) -> None:
    tower, (history, gaps, user) = query_tower(encoder), inputs()
    before = tower(history, gaps, user)
    history[:, 5:], gaps[:, 5:] = 7.0, 3
    after = tower(history, gaps, user)
    torch.testing.assert_close(after[:, :6], before[:, :6])
    assert not torch.allclose(after[:, 6], before[:, 6])


@ENCODERS
def test_one_place_is_that_place_of_all(encoder: Encoder) -> None:
    tower, (history, gaps, user) = query_tower(encoder), inputs()
    at = torch.tensor([0, 3, 8])
    torch.testing.assert_close(
        tower(history, gaps, user, at), tower(history, gaps, user)[torch.arange(3), at], atol=1e-6, rtol=1e-5
    )


@ENCODERS
def test_queries_depend_on_user_time_and_order(encoder: Encoder) -> None:
    tower, (history, gaps, user) = query_tower(encoder), inputs()
    at = torch.full((3,), 8)
    query = tower(history, gaps, user, at)
    assert not torch.allclose(tower(history, gaps.flip(1), user, at), query)
    assert not torch.allclose(tower(history.flip(1), gaps, user, at), query)
    assert not torch.allclose(tower(history, gaps, [c.flip(0) for c in user], at)[0], query[0])


@ENCODERS
def test_cosine_queries_have_length_one(encoder: Encoder) -> None:
    history, gaps, user = inputs()
    lengths = query_tower(encoder, normalize=True)(history, gaps, user).norm(dim=-1)
    torch.testing.assert_close(lengths, torch.ones(3, 9))


def test_a_pooled_set_without_distance_is_a_mean() -> None:
    """At the start the first head weighs every place alike, whatever its order."""
    tower = QueryTower(TowersConfig(encoder="pooled", d=16, history=8, heads=1, layers=1), {}, "none").eval()
    history, _, _ = inputs()
    at = torch.full((3,), 8)
    torch.testing.assert_close(tower(history, None, [], at), tower(history.flip(1), None, [], at))


def item_tower(id_dropout: float = 0.1, specs: bool = True) -> ItemTower:
    torch.manual_seed(0)
    seen = np.ones(N_ITEMS, dtype=bool)
    seen[COLD] = False
    config = TowersConfig(d=16, id_dropout=id_dropout)
    return ItemTower(config, ITEM_SPECS if specs else {}, seen)


def item_vectors(tower: ItemTower) -> torch.Tensor:
    columns = tensors(item_table(), list(ITEM_SPECS)) if tower.columns is not None else []
    out: torch.Tensor = tower(torch.arange(N_ITEMS), columns)
    return out


def test_an_item_without_events_is_known_by_its_columns_and_the_shared_row() -> None:
    tower = item_tower().eval()
    before = item_vectors(tower)
    with torch.no_grad():
        tower.ids[1:] += 1.0
    after = item_vectors(tower)
    torch.testing.assert_close(after[COLD], before[COLD])
    assert not torch.isclose(after, before).all(1)[np.setdiff1d(np.arange(N_ITEMS), COLD)].any()


def test_some_ids_are_dropped_in_training_only() -> None:
    tower = item_tower(id_dropout=0.5).eval()
    whole = item_vectors(tower)
    torch.testing.assert_close(item_vectors(tower), whole)
    dropped = (~torch.isclose(item_vectors(tower.train()), whole).all(1)).float().mean()
    assert 0.2 < dropped < 0.7


def test_ids_are_all_there_is_without_columns() -> None:
    tower = item_tower(id_dropout=0.5, specs=False).train()
    torch.testing.assert_close(item_vectors(tower), item_vectors(tower))
