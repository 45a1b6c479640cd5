from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funnel.towers.training.batches import Packed, Sequences, Sets, sequences
from funnel.towers.training.steps import steps
from funnel.types import Clock, Log

LENGTHS = st.lists(st.integers(0, 40), min_size=1, max_size=8)


def make_log(lengths: list[int], clock: Clock = "order") -> Log:
    """User u's items are u·1000, u·1000 + 1, ..."""
    users = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
    place = np.concatenate([np.arange(n) for n in lengths])
    return Log(
        users, (users * 1000 + place).astype(np.int32), place, len(lengths), 1000 * len(lengths), clock
    )


def cut(lengths: list[int], history: int, clock: Clock = "order", seed: int = 0) -> Sequences:
    return sequences(make_log(lengths, clock), history, np.random.default_rng(seed))


def packed(data: Sequences, batch: int) -> list[Packed]:
    made = list(steps(data, batch, np.random.default_rng(0)))
    return [part for step in made for part in step.parts if isinstance(part, Packed)]


@given(LENGTHS, st.integers(1, 12))
def test_every_event_is_trained_exactly_once(lengths: list[int], history: int) -> None:
    data = cut(lengths, history)
    trained = np.concatenate([data.items[i][data.skip[i] :] for i in range(len(data))] or [[]])
    assert sorted(trained.tolist()) == sorted(make_log(lengths).items.tolist())


@given(LENGTHS, st.integers(1, 12))
def test_sequences_are_consecutive_and_at_most_history_and_one_long(lengths: list[int], history: int) -> None:
    data = cut(lengths, history)
    for i in range(len(data)):
        assert 1 <= len(data.items[i]) <= history + 1
        assert (np.diff(data.items[i]) == 1).all()
        assert (data.items[i] // 1000 == data.users[i]).all()


@given(LENGTHS, st.integers(2, 12))
def test_an_event_late_in_a_long_list_has_half_a_history_before_it(lengths: list[int], history: int) -> None:
    data = cut(lengths, history)
    for i in range(len(data)):
        for p in range(int(data.skip[i]), len(data.items[i])):
            assert p >= min(data.items[i][p] % 1000, history // 2)


def test_a_set_is_split_in_another_way_each_time() -> None:
    first, second = cut([30], 50, "none", seed=1), cut([30], 50, "none", seed=2)
    assert sorted(first.items.values) == sorted(second.items.values) == list(range(30))
    assert set(first.items.values[: first.skip[0]]) != set(second.items.values[: second.skip[0]])


@given(LENGTHS.filter(any), st.integers(1, 12), st.integers(0, 9))
def test_of_a_set_about_half_is_read_and_the_rest_is_looked_for_once(
    lengths: list[int], history: int, seed: int
) -> None:
    data = cut(lengths, history, "none", seed)
    asked: dict[int, list[int]] = {}
    for made in steps(data, 30, np.random.default_rng(0)):
        (step,) = made.parts
        assert isinstance(step, Sets)
        assert (step.read.lengths <= history).all()
        for row, user in enumerate(step.users):
            wanted = step.targets[step.query_of == row].tolist()
            assert wanted
            asked[int(user)] = sorted(step.read[row].tolist() + wanted)
    log = make_log(lengths)
    assert asked == {u: log.items[log.users == u].tolist() for u in np.unique(log.users).tolist()}


def test_what_a_user_met_twice_is_in_the_set_once() -> None:
    log = make_log([6, 4], "none")
    twice = log.where(np.tile(np.arange(len(log)), 2))
    data = sequences(twice, 50, np.random.default_rng(0))
    assert [sorted(data.items[i].tolist()) for i in range(2)] == [
        log.items[log.users == user].tolist() for user in range(2)
    ]


def test_half_of_a_set_is_read_on_average() -> None:
    data = cut([20] * 500, 50, "none")
    assert 9.5 < data.skip.mean() < 10.5


@given(LENGTHS.filter(any), st.integers(1, 12), st.integers(1, 30))
@settings(max_examples=50)
def test_steps_hold_what_the_sequences_hold(lengths: list[int], history: int, batch: int) -> None:
    targets: Counter[int] = Counter()
    for step in packed(cut(lengths, history), batch):
        assert step.items.shape == step.gaps.shape == step.first.shape
        assert len(step.targets) == len(step.asks) == len(np.unique(step.asks))
        targets.update(step.targets.tolist())
    assert targets == Counter(make_log(lengths).items.tolist())


@given(LENGTHS.filter(any), st.integers(1, 12))
@settings(max_examples=50)
def test_a_place_follows_its_own_start_and_asks_for_what_comes_next(lengths: list[int], history: int) -> None:
    for step in packed(cut(lengths, history), 20):
        width = step.items.shape[1]
        user_of = dict(zip(step.starts.tolist(), step.users.tolist(), strict=True))
        for place, target in zip(step.asks.tolist(), step.targets.tolist(), strict=True):
            row, column = divmod(place, width)
            start = step.first[row, column]
            assert target // 1000 == user_of[row * width + start]
            assert (step.first[row, start : column + 1] == start).all()
            read = step.items[row, start + 1 : column + 1]
            assert read.tolist() == list(range(target - (column - start), target))


def test_where_nothing_stands_a_place_is_alone() -> None:
    for step in packed(cut([7, 30, 12, 1, 3], 8), 20):
        taken = np.isin(np.arange(step.items.size), step.starts) | (step.items.ravel() > 0)
        own = np.tile(np.arange(step.items.shape[1]), len(step.items))
        alone = ~taken & ~np.isin(np.arange(step.items.size), step.asks)
        assert (step.first.ravel()[alone] == own[alone]).all()


def test_steps_are_about_as_large_as_asked_and_hardly_padded() -> None:
    rng = np.random.default_rng(0)
    data = cut(rng.geometric(0.1, 2000).clip(max=200).tolist(), 50)
    made = packed(data, 1000)
    assert 900 < np.mean([len(step.targets) for step in made]) < 1100
    assert len(data.items.values) / sum(step.items.size for step in made) > 0.95


@pytest.mark.parametrize("clock", ["order", "none"])
@given(LENGTHS.filter(lambda lengths: sum(lengths) > 0), st.integers(1, 60))
def test_the_parts_of_a_step_are_its_sequences_in_about_equal_shares(
    clock: Clock, lengths: list[int], batch: int
) -> None:
    data = cut(lengths, 12, clock)
    longest = int((data.items.lengths - data.skip).max())
    whole = [step.parts[0] for step in steps(data, batch, np.random.default_rng(0))]
    divided = [step.parts for step in steps(data, batch, np.random.default_rng(0), parts=3)]
    assert len(whole) == len(divided)
    for step, parts in zip(whole, divided, strict=True):
        users = np.concatenate([part.users for part in parts])
        sizes = [len(part.targets) for part in parts]
        assert users.tolist() == step.users.tolist()
        assert Counter(np.concatenate([part.targets for part in parts])) == Counter(step.targets)
        assert all(sizes)
        assert 1 <= len(parts) <= 3
        assert max(sizes) <= sum(sizes) / 3 + longest  # a sequence is not cut
