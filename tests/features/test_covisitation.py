"""Fitted pairs against counting them in Python, and against the sparse product."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from funnel.features import Neighbours, fit_covisitation, fit_transitions
from funnel.types import Log, Ragged
from tests.features.worlds import make_log


def as_dicts(neighbours: Neighbours) -> list[dict[int, float]]:
    lists = []
    for item in range(neighbours.n_items):
        items, weights = neighbours.of(item)
        assert sorted(zip(-weights, items, strict=True)) == list(zip(-weights, items, strict=True))
        assert len(set(items.tolist())) == len(items)
        assert (weights > 0).all()
        lists.append(dict(zip(items.tolist(), weights.tolist(), strict=True)))
    return lists


def slow_pairs(log: Log, near: Callable[[int], float], power: float) -> dict[tuple[int, int], float]:
    """Sums over ordered pairs of places; near says what a signed distance weighs."""
    sums: dict[tuple[int, int], float] = defaultdict(float)
    items, _ = log.by_user()
    for user in range(log.n_users):
        own = items[user]
        for here, source in enumerate(own):
            for there, target in enumerate(own):
                if source != target:
                    sums[int(source), int(target)] += near(there - here) * len(own) ** -power
    return {pair: total for pair, total in sums.items() if total > 0}


def near_in_order(distance: int) -> float:
    if abs(distance) > 50:
        return 0.0
    return abs(distance) ** -0.5 * (1.0 if distance > 0 else 0.5)


def near_ahead(distance: int) -> float:
    return 1 / distance if 0 < distance <= 3 else 0.0


@pytest.mark.parametrize("users", [3, 40])
def test_covisitation_of_an_ordered_log(users: int) -> None:
    log = make_log(users=users)
    counts = np.bincount(log.items, minlength=log.n_items)
    fitted = as_dicts(fit_covisitation(log, n=log.n_items))
    expected: list[dict[int, float]] = [{} for _ in fitted]
    for (source, target), total in slow_pairs(log, near_in_order, 0.25).items():
        expected[source][target] = total / ((counts[source] + 5) ** 0.4 * (counts[target] + 5) ** 0.2)
    for own, slow in zip(fitted, expected, strict=True):
        assert own == pytest.approx(slow, rel=1e-5)


def test_transitions_are_shares_of_what_came_next() -> None:
    log = make_log()
    counts = np.bincount(log.items, minlength=log.n_items)
    transitions = fit_transitions(log, n=log.n_items)
    assert transitions is not None
    expected: list[dict[int, float]] = [{} for _ in range(log.n_items)]
    for (source, target), total in slow_pairs(log, near_ahead, 0.0).items():
        expected[source][target] = total / (counts[source] + 5)
    for own, slow in zip(as_dicts(transitions), expected, strict=True):
        assert own == pytest.approx(slow, rel=1e-5)


def test_without_an_order_it_is_the_sparse_product() -> None:
    log = make_log(clock="none")
    assert fit_transitions(log) is None
    for slow, own in zip(sparse_product(log), as_dicts(fit_covisitation(log, n=log.n_items)), strict=True):
        assert own == pytest.approx(slow, rel=1e-5)


def sparse_product(log: Log) -> list[dict[int, float]]:
    """Every pair of every user, as a matrix."""
    lengths = np.bincount(log.users, minlength=log.n_users)
    seen = sp.csr_matrix((np.ones(len(log)), (log.users, log.items)), shape=(log.n_users, log.n_items))
    product = (seen.T @ sp.diags(np.maximum(lengths, 1) ** -0.5) @ seen).toarray()
    np.fill_diagonal(product, 0)
    counts = np.maximum(np.bincount(log.items, minlength=log.n_items), 1)
    product *= counts[:, None] ** -0.6 * counts[None] ** -0.35
    return [{int(i): float(row[i]) for i in np.flatnonzero(row)} for row in product]


def long_sets(rng: np.random.Generator) -> Log:
    """One user with 1,400 items, some with a few of them, in a random order."""
    users = np.concatenate([np.zeros(1400, np.int32), rng.integers(1, 30, 300).astype(np.int32)])
    items = np.concatenate([rng.permutation(1400), rng.integers(0, 1400, 300)]).astype(np.int32)
    order = rng.permutation(len(users))
    return Log(users[order], items[order], np.zeros(len(users), np.int64), 30, 1400, "none")


def test_all_pairs_of_a_long_set_count() -> None:
    """However far apart a file has them."""
    log = long_sets(np.random.default_rng(0))
    found = as_dicts(fit_covisitation(log, n=log.n_items))
    for item, want in list(enumerate(sparse_product(log)))[::50]:
        assert found[item] == pytest.approx(want, rel=1e-5)
        assert len(found[item]) == 1399


def test_of_a_very_long_set_the_pairs_of_a_sample_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same sample whatever the order; pairs that count weigh what they do in the whole set."""
    log = long_sets(np.random.default_rng(0))
    monkeypatch.setattr("funnel.features.covisitation.MOST_PAIRED", 200)
    found = as_dicts(fit_covisitation(log, n=log.n_items))
    other = log.where(np.random.default_rng(1).permutation(len(log)))
    assert found == as_dicts(fit_covisitation(other, n=log.n_items))
    whole = sparse_product(log)
    assert sum(len(own) > 100 for own in found) == 200
    for own, want in zip(found, whole, strict=True):
        assert set(own) <= set(want)
        assert all(weight <= want[item] * 1.00001 for item, weight in own.items())


def test_the_kept_are_the_heaviest() -> None:
    log = make_log()
    every, some = fit_covisitation(log, n=log.n_items), fit_covisitation(log, n=5)
    for item in range(log.n_items):
        for whole, part in zip(every.of(item), some.of(item), strict=True):
            np.testing.assert_array_equal(whole[:5], part)


def test_a_catalogue_of_several_blocks() -> None:
    """Items far apart, so that some blocks hold nothing."""
    small = make_log(items=30)
    spread = np.linspace(0, 19_999, 30).astype(np.int32)
    large = Log(small.users, spread[small.items], small.times, small.n_users, 20_000)
    there = as_dicts(fit_covisitation(large))
    for item, own in enumerate(as_dicts(fit_covisitation(small))):
        assert there[spread[item]] == {int(spread[other]): weight for other, weight in own.items()}
    assert sum(map(len, there)) == len(fit_covisitation(small).items)


def test_later_users_and_their_order_change_nothing() -> None:
    """Each user's own order counts, not how the users' events interleave."""
    log = make_log()
    by_user = np.argsort(log.users, kind="stable")
    for one, other in zip(
        as_dicts(fit_covisitation(log)), as_dicts(fit_covisitation(log.where(by_user))), strict=True
    ):
        assert one == other


def test_on_real_purchases_it_recommends_well(shared_data: Callable[[str], Path]) -> None:
    """The last item but one of each user, from those before it: published SASRec tables are at .03 to .04."""
    lines = (shared_data("amazon-beauty") / "Beauty.txt").read_text().splitlines()
    users = [np.array(line.split()[1:], dtype=np.int32) for line in lines]
    lists = Ragged.from_lists([items[:-2] for items in users])
    n_items = max(items.max() for items in users) + 1
    times = np.zeros(len(lists.values), dtype=np.int64)
    log = Log(lists.list_of.astype(np.int32), lists.values, times, len(users), n_items, "order")
    some = np.arange(0, len(users), 5)
    history = lists.take(some)
    rows, _ = fit_covisitation(log).top(history, 10, exclude=history)
    hits = rows == np.array([users[user][-2] for user in some])[:, None]
    assert (hits / np.log2(np.arange(2, 12))).sum(axis=1).mean() > 0.06
