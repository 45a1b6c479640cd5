from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch

from funnel.towers.config import TowersConfig
from funnel.towers.training.batches import Packed, sequences
from funnel.towers.training.item_tower import ItemTower
from funnel.towers.training.layers import Dropout
from funnel.towers.training.model import QueryTower, tensors
from funnel.towers.training.steps import steps
from funnel.types import Log

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
    at = torch.tensor([5, 5, 6])
    before = tower(history, gaps, user, at)
    history[:, 5:], gaps[:, 5:] = 7.0, 3
    after = tower(history, gaps, user, at)
    torch.testing.assert_close(after[:2], before[:2])
    assert not torch.allclose(after[2], before[2])


@ENCODERS
@pytest.mark.parametrize("batch", [10, 60])
def test_packed_sequences_have_the_queries_that_each_place_would_have_alone(
    encoder: Encoder, batch: int
) -> None:
    tower, rng = query_tower(encoder), np.random.default_rng(0)
    lengths = np.array([1, 5, 12, 2, 8, 30, 3])
    users = np.repeat(np.arange(7, dtype=np.int32), lengths)
    events = Log(users, rng.integers(0, 50, 61).astype(np.int32), np.arange(61) ** 2, 7, 50, "time")
    vectors, columns = torch.randn(50, 16), tensors(user_table(np.arange(7) % 6, rng), list(USER_SPECS))
    asked = 0
    for made in steps(sequences(events, 8, rng), batch, rng):
        (step,) = made.parts
        assert isinstance(step, Packed)
        items, gaps, first, starts, asks = map(
            torch.from_numpy, (step.items, step.gaps, step.first, step.starts, step.asks)
        )
        user = [c[torch.from_numpy(step.users)] for c in columns]
        got = tower.packed(vectors[items], gaps, user, first, starts, asks)
        for query, place in zip(got, step.asks.tolist(), strict=True):
            row, column = divmod(place, step.items.shape[1])
            start = int(step.first[row, column])
            read = slice(start + 1, max(column, start + 1) + 1)
            of = [c[step.starts.tolist().index(row * step.items.shape[1] + start)][None] for c in user]
            at = torch.tensor([column - start])
            alone = tower(vectors[items[row, read]][None], gaps[row, read][None], of, at)
            torch.testing.assert_close(query, alone[0], atol=1e-5, rtol=1e-5)
            asked += 1
    assert asked == 61


def test_sets_have_the_queries_of_their_means() -> None:
    torch.manual_seed(0)
    tower = QueryTower(TowersConfig(d=16), USER_SPECS, "none").eval()
    vectors, items = torch.randn(50, 16), torch.randint(0, 50, (9,))
    user = tensors(user_table(np.arange(3), np.random.default_rng(0)), list(USER_SPECS))
    got = tower.sets(items, torch.tensor([0, 4, 4, 9]), vectors, user)
    padded = torch.zeros(3, 5, 16)
    padded[0, :4], padded[2] = vectors[items[:4]], vectors[items[4:]]
    torch.testing.assert_close(got, tower(padded, None, user, torch.tensor([4, 0, 5])))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_dropout_keeps_the_mean_and_its_share(share: float) -> None:
    torch.manual_seed(0)
    layer = Dropout(share)
    out = layer(torch.ones(300, 333))
    assert out.mean() == pytest.approx(1, abs=0.03)
    assert (out == 0).float().mean() == pytest.approx(share, abs=0.01)
    assert torch.equal(layer.eval()(out), out)


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
    lengths = query_tower(encoder, normalize=True)(history, gaps, user, torch.tensor([0, 4, 8])).norm(dim=-1)
    torch.testing.assert_close(lengths, torch.ones(3))


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
