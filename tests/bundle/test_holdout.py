"""The requests that travel with a bundle."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from funnel.bundle.contents import Contents, load_contents
from funnel.bundle.holdout import HOLDOUT, Holdout, shared_targets, translate
from funnel.catalogue.tables import Catalogue
from funnel.data import Vocabulary
from funnel.errors import BundleError
from funnel.types import Examples, Ragged, Requests, Shown
from tests.tiny import TinyBuild


@pytest.fixture(scope="module")
def contents(built: TinyBuild) -> Contents:
    return load_contents(built.built.folder)


@pytest.fixture(scope="module")
def holdout(built: TinyBuild, contents: Contents) -> Holdout:
    return Holdout.load(built.built.folder / HOLDOUT, contents)


def test_it_is_a_part_of_the_test_window_with_the_answers_of_the_build(
    built: TinyBuild, holdout: Holdout, contents: Contents
) -> None:
    test = built.prepared.split.test
    requests = holdout.examples.requests
    assert len(holdout.examples) == min(800, len(test))
    asked = set(zip(test.requests.users.tolist(), test.requests.times.tolist(), strict=True))
    assert set(zip(requests.users.tolist(), requests.times.tolist(), strict=True)) <= asked
    assert holdout.answers.shape == (len(holdout.examples), contents.rerank.k)
    np.testing.assert_array_equal(holdout.answers[:50], contents.funnel()(requests.take(np.arange(50))).items)


def test_requests_translated_to_their_own_bundle_are_the_same(holdout: Holdout, contents: Contents) -> None:
    again = translate(holdout.examples, contents, contents)
    same = shared_targets(holdout.examples, contents, contents)
    for other in (again, same):
        assert_equal(other, holdout.examples)


def assert_equal(a: Examples, b: Examples) -> None:
    for one, two in ((a.targets, b.targets), (a.requests.history, b.requests.history),
                     (a.requests.history_times, b.requests.history_times),
                     (a.requests.exclude, b.requests.exclude)):  # fmt: skip
        assert one is not None
        assert two is not None
        np.testing.assert_array_equal(one.values, two.values)
        np.testing.assert_array_equal(one.offsets, two.offsets)
    np.testing.assert_array_equal(a.requests.users, b.requests.users)
    for name, values in b.requests.user_features.items():
        np.testing.assert_array_equal(a.requests.user_features[name], values)


def test_requests_are_translated_to_other_items_by_id(holdout: Holdout, contents: Contents) -> None:
    """Against a loop over ids: half of the items are gone, and rows are numbered anew."""
    ids = contents.catalogue.ids.values
    kept = ids[ids % 2 == 0]
    catalogue = Catalogue(Vocabulary(kept), contents.catalogue.frame.iloc[: len(kept)], {})
    other = replace(contents, catalogue=catalogue)
    found = translate(holdout.examples, contents, other)
    for i in range(0, len(found), 7):
        for mine, theirs in (
            (holdout.examples.requests.history[i], found.requests.history[i]),
            (holdout.examples.requests.exclude[i], found.requests.exclude[i]),  # type: ignore[index]
        ):
            assert [one for one in ids[mine] if one % 2 == 0] == kept[theirs].tolist()
        targets = [int(kept[row]) if row < len(kept) else None for row in found.targets[i]]
        assert targets == [int(one) if one % 2 == 0 else None for one in ids[holdout.examples.targets[i]]]
    shared = shared_targets(holdout.examples, contents, other)
    assert len(shared) == sum(
        (ids[t] % 2 == 0).any() for t in map(holdout.examples.targets.__getitem__, range(len(found)))
    )
    assert (ids[shared.targets.values] % 2 == 0).all()


def test_shown_lists_travel(tmp_path: Path, contents: Contents) -> None:
    lists = Ragged.from_lists([[3, 1], [5]])
    shown = Shown(lists, {"price": np.array([1.0, np.nan, 3.0], dtype=np.float32)})
    nothing = Ragged.empty(2)
    requests = Requests(
        users=np.array([-1, 4], dtype=np.int32), times=np.array([5, 6]), history=nothing,
        history_times=Ragged.empty(2, np.int64), shown=shown,
    )  # fmt: skip
    Holdout(Examples(requests, Ragged.from_lists([[3], [5]])), np.zeros((2, 1), np.int32)).save(
        tmp_path / "h"
    )
    back = Holdout.load(tmp_path / "h", replace(contents, shown=("price",))).examples
    assert back.requests.exclude is None
    assert back.requests.shown is not None
    np.testing.assert_array_equal(back.requests.shown.items.values, [3, 1, 5])
    np.testing.assert_array_equal(back.requests.shown.columns["price"], shown.columns["price"])
    again = translate(back, contents, contents).requests
    assert again.shown is not None
    np.testing.assert_array_equal(again.shown.columns["price"], shown.columns["price"])
    assert again.users.tolist() == [-1, 4]


def test_a_folder_without_one(tmp_path: Path, contents: Contents) -> None:
    with pytest.raises(BundleError, match="has no holdout"):
        Holdout.load(tmp_path, contents)
