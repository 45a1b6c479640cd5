"""Where nothing orders the events, the order of a file or of a history changes nothing: to the last bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funnel.data import Dataset, Schema
from funnel.features import CandidateFeatures, FeaturesConfig, Statistics
from funnel.features.recent import REACH, members
from funnel.stages import CovisitationSource
from funnel.types import Log, Ragged, Requests
from tests.features.worlds import SPECS, item_columns, make_candidates

ITEMS = 1800
#: Longer than what a request reads of a set.
LONG = REACH["none"] + 500


def sets(seed: int = 0) -> Log:
    """Some users with sets of every length, one of them long; each item once."""
    rng = np.random.default_rng(seed)
    lists = [rng.permutation(ITEMS)[:n] for n in (LONG, 3, 40, 0, 200, 25)]
    users = np.repeat(np.arange(len(lists), dtype=np.int32), [len(own) for own in lists])
    items = np.concatenate(lists).astype(np.int32)
    return Log(users, items, np.zeros(len(items), np.int64), len(lists), ITEMS, "none")


def shuffled(log: Log, seed: int) -> Log:
    return log.where(np.random.default_rng(seed).permutation(len(log)))


def test_lists_of_users_are_the_same_however_the_log_has_them() -> None:
    (items, times), (others, _) = sets().by_user(), shuffled(sets(), 1).by_user()
    np.testing.assert_array_equal(items.values, others.values)
    np.testing.assert_array_equal(items.offsets, others.offsets)
    assert len(times.values) == len(items.values)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_statistics_of_a_shuffled_file_are_the_same_files(tmp_path: Path) -> None:
    for number in range(3):
        log = sets() if number == 0 else shuffled(sets(), number)
        Statistics.fit(log, log).save(tmp_path / str(number))
    assert files(tmp_path / "0") == files(tmp_path / "1") == files(tmp_path / "2")


def asked(log: Log, seed: int | None) -> Requests:
    """All users; with a seed, each history in an order of its own."""
    lists = [log.items[log.users == user] for user in range(log.n_users)]
    if seed is not None:
        lists = [np.random.default_rng(seed).permutation(own) for own in lists]
    history, n = Ragged.from_lists(lists), len(lists)
    times = Ragged(np.zeros(len(history.values), np.int64), history.offsets)
    return Requests(np.arange(n, dtype=np.int32), np.zeros(n, np.int64), history, times)


@pytest.fixture(scope="module")
def statistics() -> Statistics:
    return Statistics.fit(sets(), sets())


@pytest.mark.parametrize("seed", [1, 2])
def test_features_and_sources_of_a_shuffled_history_are_the_same(statistics: Statistics, seed: int) -> None:
    """Also of one longer than what is read, and without any that asks what came last."""
    vectors = np.random.default_rng(0).normal(size=(ITEMS, 6)).astype(np.float32)
    features = CandidateFeatures(
        FeaturesConfig(), statistics, item_columns(ITEMS), vectors, {}, SPECS, sources=("towers", "popular")
    )
    assert not [name for name in features.names if "last" in name or "ago" in name or "second" in name]
    candidates = make_candidates(6, ITEMS, 30)
    plain, other = asked(sets(), None), asked(sets(), seed)
    want, got = features.matrix(plain, candidates), features.matrix(other, candidates)
    assert want.tobytes() == got.tobytes()
    assert np.isfinite(want).any()
    source, spectral = CovisitationSource(statistics), statistics.spectral
    assert spectral is not None
    for first, second in zip(source.find(plain, 50), source.find(other, 50), strict=True):
        np.testing.assert_array_equal(first, second)
    scores = [spectral.scores(some.history, candidates.items) for some in (plain, other)]
    np.testing.assert_array_equal(*scores)
    nearest = [statistics.covisitation.nearest(some.history, candidates.items) for some in (plain, other)]
    np.testing.assert_array_equal(*nearest)


SETS = st.lists(st.integers(-1, 60), max_size=40)


@settings(max_examples=100, deadline=None)
@given(SETS, st.integers(1, 30), st.randoms())
def test_a_sample_of_a_set(items: list[int], most: int, random: Any) -> None:
    """It holds each item once, as many as may be, in whatever order they came."""
    found = members(Ragged.from_lists([items, items[:5]]), most, 50)
    known = {item for item in items if 0 <= item < 50}
    assert found[0].tolist() == sorted(set(found[0].tolist()))
    assert set(found[0].tolist()) <= known
    assert len(found[0]) == min(most, len(known))
    other = list(items) + items[:3]
    random.shuffle(other)
    assert members(Ragged.from_lists([other]), most, 50)[0].tolist() == found[0].tolist()
    more = set(members(Ragged.from_lists([[*items, 17]]), most, 50)[0].tolist())
    assert len(set(found[0].tolist()) - more) <= 1


def test_a_sample_takes_all_items_alike() -> None:
    lists = [range(start, start + 400) for start in range(0, 40_000, 400)]
    sampled = members(Ragged.from_lists(lists), 100, 40_000)
    place = sampled.values % 400
    assert np.bincount(place // 40, minlength=10).min() > 850  # of 1,000


def test_a_shuffled_table_is_the_same_data_set() -> None:
    log = sets()
    events = pd.DataFrame({"user_id": log.users, "item_id": log.items})
    events = events.assign(split=np.where(log.items % 5 == 0, "test", "train"))
    made = [
        Dataset.from_frames(Schema(), events.sample(frac=1, random_state=seed), clock="none", name="sets")
        for seed in range(3)
    ]
    assert len({one.checksum() for one in made}) == 1
    assert made[0].log.items.tobytes() == made[1].log.items.tobytes()


def test_an_order_still_counts() -> None:
    """The control: with an order the same shuffling changes what is fitted."""
    log = replace(sets(), clock="order")
    first, second = (Statistics.fit(x, x).covisitation for x in (log, shuffled(log, 1)))
    assert first.items.tobytes() != second.items.tobytes()
