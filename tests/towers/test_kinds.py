"""Kinds of events in the query tower: what asks and how often, what is read, and what the kind of a history
event changes, in torch and as exported."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from funnel.errors import DataError
from funnel.features.encoders import Spec
from funnel.towers.config import TowersConfig
from funnel.towers.encoder import QueryEncoder
from funnel.towers.inputs import GAPS
from funnel.towers.training.batches import Packed, sequences
from funnel.towers.training.export import export
from funnel.towers.training.steps import steps
from funnel.towers.training.train import train
from funnel.types import EventKinds, Examples, Log, Ragged, Requests

#: view is read only, hint is found only, buy is both and weighs three times.
KINDS = EventKinds(("buy", "hint", "view"), (3.0, 0.0, 1.0), (3.0, 1.0, 0.0), (False,) * 3)
SMALL = TowersConfig(d=16, history=8, heads=2, layers=1, batch=256, epochs=15, dropout=0.1, lr=0.01)


def random_log(seed: int, n: int = 400, history_kinds: int = 3) -> Log:
    rng = np.random.default_rng(seed)
    return Log(
        users=rng.integers(0, 12, n).astype(np.int32),
        items=rng.integers(0, 30, n).astype(np.int32),
        times=np.sort(rng.integers(0, 10_000, n)),
        n_users=12,
        n_items=30,
        kinds=rng.integers(0, history_kinds, n).astype(np.int8),
        event_kinds=KINDS,
        rows=np.arange(n, dtype=np.int32),
    )


def asked(log: Log, history: int, seed: int) -> list[tuple[tuple[int, ...], tuple[int, ...], int, int]]:
    """What every place that asks has read (items and kinds, newest of a window), its target and its row."""
    rng = np.random.default_rng(seed)
    out = []
    for made in steps(sequences(log, history, rng), 64, rng):
        (step,) = made.parts
        assert isinstance(step, Packed)
        width = step.items.shape[1]
        assert step.moments is not None
        for at, target, row in zip(step.asks, step.targets, step.moments, strict=True):
            line, column = divmod(int(at), width)
            first = int(step.first[line, column])
            items = tuple(step.items[line, first + 1 : column + 1].tolist())
            kinds = tuple((step.gaps[line, first + 1 : column + 1] // GAPS - 1).tolist())
            out.append((items, kinds, int(target), int(row)))
    return out


@pytest.mark.parametrize("history", [3, 8, 100])
def test_each_target_is_found_from_what_is_read_before_it(history: int) -> None:
    log = random_log(0)
    assert log.kinds is not None
    got = asked(log, history, 0)
    found = set()
    for items, kinds, target, row in got:
        if row < 0:  # a share does not know the moment
            continue
        found.add(row)
        assert log.items[row] == target
        assert log.kinds[row] in (0, 1)
        before = [i for i in range(row) if log.users[i] == log.users[row] and log.kinds[i] in (0, 2)]
        least = min(len(before), (history + 1) // 2 if log.kinds[row] == 0 else history)
        assert len(items) >= least
        want = before[len(before) - len(items) :]
        assert list(items) == log.items[want].tolist()
        assert list(kinds) in (log.kinds[want].tolist(), [-1] * len(items))
    asking = np.flatnonzero(log.kinds < 2)
    assert len(found) > 0.8 * len(asking)
    assert any(-1 in kinds for _, kinds, *_ in got)
    assert any(kinds and -1 not in kinds for _, kinds, *_ in got)


def test_a_kind_asks_as_often_as_it_weighs() -> None:
    log = random_log(1, n=6000)
    assert log.kinds is not None
    times = np.zeros(len(log))
    for seed in range(4):
        for _, _, _, row in asked(log, 50, seed):
            if row >= 0:
                times[row] += 0.25
    bought, hinted = times[log.kinds == 0].mean(), times[log.kinds == 1].mean()
    assert bought / hinted == pytest.approx(3.0, rel=0.05)
    assert (times[log.kinds == 2] == 0).all()
    assert times.sum() == pytest.approx(0.9 * 2.0 * (log.kinds < 2).sum(), rel=0.03)  # as often as is allowed


def two_meanings(n_users: int = 240) -> tuple[Log, Examples]:
    """Who bought item i is after i + 10, who viewed it is after i + 20."""
    rng = np.random.default_rng(3)
    first, kind = rng.integers(0, 10, n_users), rng.choice([0, 2], n_users)
    then = first + np.where(kind == 0, 10, 20)
    half = n_users // 2
    log = Log(
        users=np.tile(np.arange(half, dtype=np.int32), 2),
        items=np.concatenate([first[:half], then[:half]]).astype(np.int32),
        times=np.repeat(np.array([1, 50]), half),
        n_users=n_users,
        n_items=30,
        kinds=np.concatenate([kind[:half], np.zeros(half)]).astype(np.int8),
        event_kinds=KINDS,
    )
    history = Ragged.from_lists([[one] for one in first[half:]])
    requests = Requests(
        users=np.full(half, -1, dtype=np.int32),
        times=np.full(half, 50),
        history=history,
        history_times=Ragged(np.ones(half, dtype=np.int64), history.offsets),
        history_kinds=Ragged(kind[half:].astype(np.int8), history.offsets),
    )
    return log, Examples(requests, Ragged.from_lists([[one] for one in then[half:]]))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[QueryEncoder, Examples]:
    log, examples = two_meanings()
    trained = train(log, {}, {}, {}, {}, examples, SMALL.model_copy(update={"epochs": 60, "patience": 60}))
    folder: Path = tmp_path_factory.mktemp("towers")
    ids = np.arange(30)
    export(trained, folder, item_ids=ids, user_ids=np.arange(len(examples)), requests=examples.requests)
    return QueryEncoder.load(folder), examples


def hits(encoder: QueryEncoder, examples: Examples) -> float:
    best = (encoder.encode(examples.requests) @ encoder.item_vectors.T).argmax(1)
    return float((best == examples.targets.values).mean())


def test_a_history_says_what_kind_its_events_are(exported: tuple[QueryEncoder, Examples]) -> None:
    encoder, examples = exported
    assert encoder.kinds == KINDS.names
    assert hits(encoder, examples) > 0.9
    kinds = examples.requests.history_kinds
    assert kinds is not None
    other = Ragged(np.where(kinds.values == 0, 2, 0).astype(np.int8), kinds.offsets)
    assert hits(encoder, replace(examples, requests=replace(examples.requests, history_kinds=other))) < 0.1


def test_a_history_without_kinds_is_read_too(exported: tuple[QueryEncoder, Examples]) -> None:
    encoder, examples = exported
    without = replace(examples.requests, history_kinds=None)
    queries = encoder.encode(without)
    assert np.isfinite(queries).all()
    kinds = Ragged(np.full(len(examples), -1, dtype=np.int8), examples.requests.history.offsets)
    np.testing.assert_array_equal(queries, encoder.encode(replace(without, history_kinds=kinds)))
    best = (queries @ encoder.item_vectors.T).argsort(1)[:, -2:]
    assert (best == examples.targets.values[:, None]).any(1).mean() > 0.7


def test_a_log_without_a_target_is_refused() -> None:
    log = random_log(0)
    assert log.kinds is not None
    with pytest.raises(DataError, match=r"events\.targets"):
        train(log.where(log.kinds == 2), {}, {}, {}, {}, None, SMALL)


def test_what_is_only_viewed_is_compared_with_targets_too() -> None:
    """Items 25 and up are viewed by everybody and never bought; each has a column, as cold items have."""
    log, examples = two_meanings()
    half, viewed = len(log) // 2, 5
    more = Log(
        users=np.repeat(np.arange(half, dtype=np.int32), viewed),
        items=np.tile(np.arange(25, 30, dtype=np.int32), half),
        times=np.full(half * viewed, 60),
        n_users=log.n_users,
        n_items=30,
        kinds=np.full(half * viewed, 2, dtype=np.int8),
        event_kinds=KINDS,
    )
    assert log.kinds is not None
    assert more.kinds is not None
    bought = np.minimum(log.items, 24)
    whole = replace(
        log,
        users=np.concatenate([log.users, more.users]),
        items=np.concatenate([bought, more.items]).astype(np.int32),
        times=np.concatenate([log.times, more.times]),
        kinds=np.concatenate([log.kinds, more.kinds]),
    )
    column = {"shelf": (1 + np.arange(30) % 3).astype(np.int32)}
    trained = train(whole, column, {"shelf": Spec("category", 4, 1)}, {}, {}, None, SMALL)
    scores = trained.encode(examples.requests) @ trained.item_vectors.T
    assert (scores[:, 25:].max(axis=1) < np.median(scores[:, 10:25], axis=1)).mean() > 0.9
