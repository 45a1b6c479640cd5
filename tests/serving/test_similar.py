"""`Live.similar`: an item's neighbours."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from funnel import Live
from funnel.errors import FunnelError
from tests.serving.test_items import frame
from tests.tiny import GENRES, TinyBuild


@pytest.fixture
def live(built: TinyBuild, tmp_path: Path) -> Iterator[Live]:
    one = Live(shutil.copytree(built.indexes, tmp_path / "indexes"))
    yield one
    one.close()


def ids(answer: Any) -> list[Any]:
    return [item.item_id for item in answer.items]


def test_what_is_interacted_with_beside_it_comes_first_then_the_nearest_vectors(live: Live) -> None:
    contents = live.contents
    row = contents.catalogue.ids.row(5)
    neighbours, _ = contents.statistics.covisitation.of(row)
    answer = live.similar(5, 199)
    expected = contents.catalogue.ids.take(neighbours)
    assert set(ids(answer)[: len(expected)]) == set(expected)
    assert sorted(ids(answer)) == [item for item in range(1, 201) if item != 5]
    behind = contents.catalogue.ids.rows(ids(answer)[len(expected) :])
    products = contents.vectors[behind] @ contents.vectors[row]
    assert (np.diff(products) <= 1e-5).all()
    assert answer.user_id is None
    assert answer.reasons == ()


def test_a_new_item_has_neighbours_and_is_one(live: Live) -> None:
    live.items.upsert(frame([1000], [1990.0]))
    assert len(live.similar(1000).items) == 10
    assert 1000 in ids(live.similar(5, 300))
    live.items.delete([1000, 7])
    assert live.similar(1000).items == ()
    assert live.similar(1000).reasons == ("deleted_item:1000",)
    assert not {1000, 7} & set(ids(live.similar(5, 300)))


def test_filters_exclusions_and_a_user(live: Live) -> None:
    some = live.similar(5, 20, where={"genres": GENRES[0]}, exclude=ids(live.similar(5, 3)))
    assert some.items
    assert all(GENRES[0] in item.attributes["genres"] for item in some.items)
    assert not set(ids(some)) & set(ids(live.similar(5, 3)))
    seen = set(live.history(7))
    assert not set(ids(live.similar(5, 300, user_id=7))) & seen
    assert seen - {5} <= set(ids(live.similar(5, 300, user_id=7, seen="allow")))
    assert ids(live.similar(5, user_id=7, seen="allow")) != ids(live.similar(5))
    assert live.similar(5, user_id="nobody").reasons == ("unknown_user",)


@pytest.mark.parametrize("item", ["x", 2**63, None, float("nan"), True, [5], np.array([5]), b"5"])
def test_what_is_no_item_has_no_neighbours(live: Live, item: Any) -> None:
    answer = live.similar(item)
    assert answer.items == ()
    assert answer.reasons[0].startswith("unknown_item:")


def test_arguments_that_cannot_be_meant(live: Live) -> None:
    for wrong in ({"k": 0}, {"seen": "no"}, {"time": 1.7e12}, {"exclude": 5}, {"attributes": 3}):
        with pytest.raises(FunnelError, match=next(iter(wrong))):
            live.similar(5, **wrong)  # type: ignore[arg-type]
