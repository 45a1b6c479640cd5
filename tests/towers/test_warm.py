"""Towers in files, and training that starts from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from funnel.data import Column
from funnel.errors import BundleError, ConfigError
from funnel.features import TableEncoder
from funnel.towers.training.train import train
from funnel.towers.training.trained import Trained
from funnel.towers.training.warm import IDS, ITEMS, USERS, Start
from funnel.towers.training.weights import load_trained, save_trained

from .world import GROUPS, N_ITEMS, SMALL, world

WORLD = world()
COLUMNS = (Column(name="group", kind="category"),)
GROUPS_OF = pd.DataFrame({"group": [f"group {row // 5}" for row in range(N_ITEMS)]})
ITEM_ENCODER = TableEncoder.fit(COLUMNS, GROUPS_OF)
USER_ENCODER = TableEncoder.fit((), pd.DataFrame())


def trained(epochs: int, items: TableEncoder = ITEM_ENCODER, start: Start | None = None) -> Trained:
    return train(
        WORLD.log, items.encode(GROUPS_OF), items.specs, {}, {}, WORLD.validation,
        SMALL.model_copy(update={"epochs": epochs}), start_from=start,
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("training")
    save_trained(trained(8), made)
    np.save(made / IDS, np.arange(N_ITEMS))
    ITEM_ENCODER.save(made / ITEMS)
    USER_ENCODER.save(made / USERS)
    return made


def test_saved_towers_say_the_same(tmp_path: Path) -> None:
    before = trained(1)
    save_trained(before, tmp_path)
    after = load_trained(tmp_path)
    requests = WORLD.validation.requests
    np.testing.assert_array_equal(before.encode(requests), after.encode(requests))
    assert [one.validation for one in after.epochs] == [one.validation for one in before.epochs]


def test_a_warm_start_begins_where_the_other_ended(folder: Path) -> None:
    start = Start.load(folder, "before", np.arange(N_ITEMS), ITEM_ENCODER, USER_ENCODER)
    cold, warm, ended = trained(1), trained(1, start=start), load_trained(folder)
    best = ended.epochs[ended.best].validation
    assert cold.epochs[0].validation < 0.9 * best
    assert warm.epochs[0].validation > 0.95 * best


def test_values_and_items_are_matched_by_name_not_by_place(folder: Path) -> None:
    """Another vocabulary: codes in another order, one value and one item new."""
    values = pd.DataFrame({"group": ["group 5"] * 9 + ["group 3"] * 8 + ["brand new"]})
    other = TableEncoder.fit(COLUMNS, values)
    ids = np.arange(1, N_ITEMS + 1)  # item 0 is gone, item 30 is new: every row is another one
    start = Start.load(folder, "before", ids, ITEM_ENCODER, USER_ENCODER)
    state = load_trained(folder).model.state_dict()
    model = trained(1).model
    start.into(model)
    rows = start.ids
    assert rows[-1] == 0  # new: as one that nobody met
    assert rows[0] == 2
    torch.testing.assert_close(model.items.ids[1:], state["items.ids"][torch.from_numpy(rows)])

    start = Start.load(folder, "before", np.arange(N_ITEMS), other, USER_ENCODER)
    model = trained(1, other).model
    start.into(model)
    table = state["items.columns.tables.0"]
    was = {name: code for code, name in enumerate(ITEM_ENCODER.values("group"), start=1)}
    wanted = [0, *(was.get(name, 0) for name in other.values("group"))]
    assert sorted(wanted) == sorted([0, 0, was["group 5"], was["group 3"]])
    torch.testing.assert_close(model.items.columns.tables[0].detach(), table[wanted])
    assert len(ITEM_ENCODER.values("group")) == GROUPS


def test_what_cannot_be_started_from(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="before cannot be started from"):
        Start.load(tmp_path, "before", np.arange(N_ITEMS), ITEM_ENCODER, USER_ENCODER)
    start = Start.load(folder, "before", np.arange(N_ITEMS), ITEM_ENCODER, USER_ENCODER)
    wide = SMALL.model_copy(update={"d": 32})
    with pytest.raises(ConfigError, match=r"before has vectors of 16 numbers and towers\.d is 32"):
        train(
            WORLD.log, ITEM_ENCODER.encode(GROUPS_OF), ITEM_ENCODER.specs, {}, {}, WORLD.validation,
            wide, start_from=start,
        )  # fmt: skip
