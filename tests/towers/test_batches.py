from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from funnel.towers.batches import Sequences, sequences, steps
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
    for groups in steps(data, 30, np.random.default_rng(0)):
        for group in groups:
            assert group.at is not None
            assert (group.at <= history).all()
            for row, (user, read) in enumerate(zip(group.users, group.at, strict=True)):
                wanted = group.targets[group.query_of == row].tolist()
                assert wanted
                asked[int(user)] = sorted(group.items[row, :read].tolist() + wanted)
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
    data = cut(lengths, history)
    targets: Counter[int] = Counter()
    for groups in steps(data, batch, np.random.default_rng(0)):
        for group in groups:
            assert group.items.shape == group.gaps.shape
            assert group.trained.shape == (len(group.items), group.items.shape[1] + 1)
            assert len(group.targets) == group.trained.sum()
            targets.update(group.targets.tolist())
    assert targets == Counter(make_log(lengths).items.tolist())


def test_a_target_follows_what_is_read() -> None:
    for groups in steps(cut([7, 30, 12, 1, 3], 8), 20, np.random.default_rng(0)):
        for group in groups:
            row, place = np.nonzero(group.trained)
            inside = place > 0
            before = group.items[row[inside], place[inside] - 1]
            assert (before + 1 == group.targets[inside]).all()


def test_steps_are_about_as_large_as_asked_and_hardly_padded() -> None:
    rng = np.random.default_rng(0)
    data = cut(rng.geometric(0.1, 2000).clip(max=200).tolist(), 50)
    made = list(steps(data, 1000, rng))
    sizes = [sum(len(g.targets) for g in groups) for groups in made]
    assert 900 < np.mean(sizes) < 1100
    read = sum(int(g.trained.size) for groups in made for g in groups)
    whole = len(data.items.values)
    assert whole / read > 0.85
