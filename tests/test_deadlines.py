"""A deadline leaves stages out while time is short, and only then. Time is simulated: stages move it."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import cycle, repeat

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funnel.durations import MOST_LEFT_OUT, WINDOW, Durations, Runs
from funnel.engine import Funnel
from funnel.types import Candidates, Ragged, Requests

FAST, SLOW, LIMIT = 0.001, 0.2, 0.005


class Clock:
    """Stands still unless it is moved."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Find:
    """Finds the first n items, in no time."""

    name = "find"

    def __init__(self, n: int) -> None:
        self.n = n

    def __call__(self, requests: Requests, candidates: Candidates) -> Candidates:
        items = np.tile(np.arange(self.n, dtype=np.int32), (len(requests), 1))
        nothing = np.zeros((*items.shape, 0), dtype=np.float32)
        return Candidates(items, -items.astype(np.float32), (), nothing, nothing.astype(np.int32))


class Rank:
    """Takes the next of `seconds` whenever it runs; can be left out."""

    name = "rank"

    def __init__(self, clock: Clock, seconds: Iterable[float]) -> None:
        self.clock, self.seconds, self.runs = clock, iter(seconds), 0

    def __call__(self, requests: Requests, candidates: Candidates) -> Candidates:
        self.clock.now += next(self.seconds)
        self.runs += 1
        return candidates

    def skip(self, candidates: Candidates) -> Candidates:
        return candidates


def requests(n: int = 1) -> Requests:
    none = Ragged.empty(n)
    return Requests(np.arange(n, dtype=np.int32), np.zeros(n, dtype=np.int64), none, none)


def skips(seconds: Iterable[float], n: int, limit: float | None = LIMIT) -> list[bool]:
    """Whether ranking was skipped in each of n requests, where its runs take so long one after another."""
    clock = Clock()
    funnel = Funnel([Find(8), Rank(clock, seconds)], clock=clock)
    return [funnel.trace(requests(), seconds=limit)[-1].skipped for _ in range(n)]


def left_out(runs: Runs, seconds: Iterable[float], n: int) -> list[bool]:
    """As `skips`, of a stage's runs alone, as the funnel asks and tells them."""
    one_after_another, skipped = iter(seconds), []
    for _ in range(n):
        skipped.append(runs.leave_out(LIMIT))
        if not skipped[-1]:
            runs.ran(next(one_after_another), LIMIT)
    return skipped


def after(first: Iterable[float]) -> Iterable[float]:
    yield from first
    yield from repeat(FAST)


def test_one_stall_changes_nothing() -> None:
    assert not any(skips(after([FAST] * 50 + [SLOW]), 5_000))


@pytest.mark.parametrize("before", range(10))
def test_a_stall_among_the_first_requests_is_got_over(before: int) -> None:
    """Ten runs say that one was a stall; until then every other request is a trial."""
    assert sum(skips(after([FAST] * before + [SLOW]), 5_000)) <= 10


def test_stalls_that_are_rare_skip_nothing_however_long_it_goes_on() -> None:
    assert not any(skips(cycle([FAST] * 30 + [SLOW]), 5_000)[31:])


def test_a_stage_that_is_slow_is_left_out_and_tried_now_and_then() -> None:
    ran = np.flatnonzero(~np.array(skips(repeat(SLOW), 10_000)))
    assert np.diff(ran)[:8].tolist() == [2, 3, 5, 9, 17, 33, 65, 129]
    assert set(np.diff(ran)[8:].tolist()) == {MOST_LEFT_OUT + 1}


def test_a_stage_that_was_slow_for_long_comes_back() -> None:
    slow = 60  # trials of some 10,000 requests
    skipped = skips(after([SLOW] * slow), 20_000)
    ran = np.flatnonzero(~np.array(skipped))
    assert not any(skipped[ran[slow] + 2 * WINDOW :])


def test_a_stage_that_becomes_slow_is_left_out_soon() -> None:
    skipped = skips([FAST] * 1_000 + [SLOW] * 1_000, 1_500)
    assert not any(skipped[:1_000])
    late = 500 - sum(skipped[1_000:])
    assert late <= 4 + 9  # four of 32 say that it is slow; then trials at 1, 2, 4, …


@pytest.mark.parametrize("share", [0.15, 0.3, 0.5, 0.7])
def test_of_two_kinds_of_runs_few_requests_get_the_slow_one(share: float) -> None:
    rng = np.random.default_rng(0)
    seconds = np.where(rng.random(20_000) < share, SLOW, FAST)
    skipped = np.array(skips(seconds.tolist(), 20_000))
    late = (seconds[: (~skipped).sum()] == SLOW).sum()
    assert (~skipped).sum() > 0
    assert late / len(skipped) < 0.12


def test_no_trial_is_made_when_the_time_is_over() -> None:
    assert all(skips(repeat(FAST), 1_000, limit=0.0))
    assert all(skips(repeat(FAST), 1_000, limit=-1.0))


def test_without_a_deadline_nothing_is_skipped_and_all_is_learned() -> None:
    clock = Clock()
    rank = Rank(clock, repeat(SLOW))
    funnel = Funnel([Find(8), rank], clock=clock)
    assert not any(funnel.trace(requests())[-1].skipped for _ in range(100))
    assert funnel.trace(requests(), seconds=LIMIT)[-1].skipped


def test_callers_with_much_time_do_not_make_trials_of_those_with_little() -> None:
    clock = Clock()
    funnel = Funnel([Find(8), Rank(clock, repeat(SLOW))], clock=clock)
    late = 0
    for _ in range(1_000):
        funnel.trace(requests(), seconds=1.0)
        late += sum(not funnel.trace(requests(), seconds=LIMIT)[-1].skipped for _ in range(2))
    assert late <= 1


def test_funnels_share_what_was_learned_and_more_candidates_take_longer() -> None:
    clock, durations = Clock(), Durations()
    slow = Funnel([Find(8), Rank(clock, repeat(SLOW))], durations=durations, clock=clock)
    for _ in range(50):
        slow.trace(requests(), seconds=LIMIT)
    for n in (8, 9, 7, 30, 60):  # the last three have to be guessed from eight candidates
        rank = Rank(clock, repeat(FAST))
        other = Funnel([Find(n), rank], durations=durations, clock=clock)
        assert other.trace(requests(), seconds=LIMIT)[-1].skipped
        assert rank.runs == 0
    quick = Funnel([Find(8), Rank(clock, repeat(FAST))], durations=Durations(), clock=clock)
    quick.trace(requests())
    assert not quick.trace(requests(2), seconds=LIMIT)[-1].skipped
    assert quick.trace(requests(2_000), seconds=LIMIT)[-1].skipped


@settings(max_examples=100, deadline=None)
@given(
    seconds=st.lists(st.sampled_from([0.0, FAST, LIMIT, SLOW]), min_size=400, max_size=400),
    window=st.integers(0, 300),
)
def test_whatever_came_before_a_stage_that_is_fast_is_in_use_again(seconds: list[float], window: int) -> None:
    """Within 20,000 requests: so many on end as `stretch` are more than what came before."""
    runs, taken, stretch = Runs(), after(seconds[:window]), 320
    assert any(not any(left_out(runs, taken, stretch)) for _ in range(20_000 // stretch))


def test_a_funnel_leaves_out_what_the_runs_of_a_stage_say() -> None:
    rng = np.random.default_rng(1)
    seconds = [*rng.choice([0.0, FAST, SLOW], size=300), *[FAST] * 5_000]
    assert skips(seconds, 3_000) == left_out(Runs(), seconds, 3_000)


def test_what_is_known_stays_small() -> None:
    durations = Durations()
    for candidates in range(1, 100_000, 7):
        durations.of("rank", candidates).ran(FAST, LIMIT)
    assert len(durations._runs["rank"]) <= 17
