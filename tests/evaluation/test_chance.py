"""The chance level: exact, and what everything falls to when the targets are random."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from stub_world import World, measured

from funnel import plugins
from funnel.allow import Allow
from funnel.errors import DataError
from funnel.evaluation import chance_level, compute_all, random_targets
from funnel.evaluation.chance import drawn_level, random_positions
from funnel.types import Examples, Ragged, Requests

NAMES = [f"{metric}@{k}" for metric in ("ndcg", "recall", "mrr", "map", "hit_rate") for k in (3, 10)]


def small(allow: np.ndarray | None = None) -> Examples:
    """Two requests over nine items; an excluded row twice, and targets that may not be returned."""
    base = World.make(users=2, items=9, seed=1).examples
    exclude = Ragged.from_lists([[0, 0, 4], [-1]])
    masks = None if allow is None else Allow.of(np.broadcast_to(allow, (2, 9)))
    requests = replace(base.requests, exclude=exclude, allow=masks)
    return Examples(requests, Ragged.from_lists([[4, 5, 6], [1]]))


@pytest.mark.parametrize("allow", [None, np.arange(9) != 5, np.arange(18).reshape(2, 9) % 7 != 0])
def test_equals_the_mean_of_random_lists(allow):
    examples, rng = small(allow), np.random.default_rng(2)
    order = np.argsort(rng.random((20_000, 2, 9)), axis=2)
    open_ = np.broadcast_to(True if allow is None else allow, (2, 9)).copy()
    open_[0, [0, 4]] = False
    for b in range(2):  # what may not be returned goes behind, as empty positions
        mine = open_[b][order[:, b]]
        lists = np.take_along_axis(
            np.where(mine, order[:, b], -1), np.argsort(~mine, axis=1, kind="stable"), axis=1
        )
        order[:, b] = lists
    wanted = Ragged.from_lists([examples.targets[i % 2] for i in range(40_000)])
    simulated = compute_all(NAMES, order.reshape(40_000, 9).astype(np.int32), wanted)
    for name, value in chance_level(NAMES, examples, 9).items():
        assert value == pytest.approx(simulated[name].mean(), abs=0.006), name


def test_everything_falls_to_chance_when_the_targets_are_random(world):
    """Full lists, every row: no competitor may know what was drawn after it answered."""
    everything = {
        "baselines": {"popular": world.popular(400)},
        "exact": world.by(world.noisy(1.0, 1), 400),
        "ks": (10, 400),
        "latency_requests": 1,
    }
    many = world.examples.take(np.repeat(np.arange(300), 8))
    shuffled, real = measured(world, random_targets(many, 400, seed=4), **everything), measured(world)
    for row in shuffled.rows:
        for name in ("ndcg@10", "recall@10", "map@10", "hit_rate@10", "mrr@10"):
            value, level = row.metrics[name], shuffled.chance[name]
            slack = (value.hi - value.lo) / 2  # 40 intervals are looked at: four standard errors
            assert value.lo - slack <= level <= value.hi + slack, (row.name, name)
    assert shuffled.row("exact").recall.mean == pytest.approx(1.0)
    assert real.row("rank").metrics["ndcg@10"].lo > 10 * real.chance["ndcg@10"]


def test_random_targets_may_be_returned_and_are_distinct(world):
    allow = np.arange(400) % 3 > 0
    requests = replace(world.examples.requests, allow=Allow.of(allow, len(world.examples)))
    examples = replace(world.examples, requests=requests)
    drawn = random_targets(examples, 400, seed=1)
    assert (drawn.targets.lengths == examples.targets.lengths).all()
    for i in range(len(drawn)):
        assert len(set(drawn.targets[i])) == len(drawn.targets[i])
        assert not set(drawn.targets[i]) & set(examples.requests.history[i])
    assert allow[drawn.targets.values].all()
    again = random_targets(examples, 400, seed=1)
    np.testing.assert_array_equal(drawn.targets.values, again.targets.values)


def test_too_few_items_to_draw_from():
    with pytest.raises(DataError, match="more targets than items"):
        random_targets(small(np.arange(9) == 1), 9, seed=1)


def test_drawing_finds_what_is_expected(world: World) -> None:
    """Of metrics whose expectation is known, with what is excluded left out."""
    names = ("ndcg", "recall", "mrr", "map", "hit_rate")
    metrics = {name: partial(plugins.make, "metric", name) for name in names}
    drawn = drawn_level(metrics, 10, world.examples, len(world.popularity), seed=1)
    exact = chance_level([f"{name}@10" for name in names], world.examples, len(world.popularity))
    assert drawn == pytest.approx(exact, rel=0.08)
    assert drawn != exact


def test_a_target_that_may_not_be_shown_is_never_found_by_chance() -> None:
    requests = Requests(
        users=np.zeros(1, np.int32), times=np.zeros(1, np.int64), history=Ragged.from_lists([[0, 1]]),
        history_times=Ragged(np.zeros(2, np.int64), np.array([0, 2])), exclude=Ragged.from_lists([[0, 1]]),
    )  # fmt: skip
    examples = Examples(requests, Ragged.from_lists([[0, 2, 3, 4]]))
    rng = np.random.default_rng(0)
    found = np.array([random_positions(examples, 5, 5, rng).values for _ in range(300)])
    assert (found[:, 0] == -1).all()
    assert (np.sort(found[:, 1:], axis=1) == [0, 1, 2]).all()  # all three positions, each once
    assert all(abs((found[:, column] == 0).mean() - 1 / 3) < 0.12 for column in (1, 2, 3))


def test_metrics_of_plugins_have_a_level(world: World) -> None:
    first = measured(world, also={"mine": partial(plugins.make, "metric", "hit_rate")})
    assert first.chance["mine@10"] == pytest.approx(first.chance["hit_rate@10"], rel=0.08)
