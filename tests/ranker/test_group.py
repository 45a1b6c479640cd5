"""Trees that several processes grow together, over real sockets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from funnel.errors import ConfigError, FunnelError
from funnel.evaluation import paired
from funnel.ranker import CrossFit, Ranker, RankerConfig, TrainingLists, graded_ndcg
from funnel.ranker import group as grouping
from funnel.ranker.group import check_cluster
from funnel.ranker.peers import Peers
from funnel.recipes import Member, done_by

from ..apart import Apart
from .test_ranker import SMALL, world

CONFIG = RankerConfig(**SMALL, objective="rank_xendcg")
LISTS = world(0, n_lists=300)
FOLDS = np.arange(len(LISTS)) % 3
TEST = world(2, n_lists=400)


def fitted(
    lists: TrainingLists, processes: int, config: RankerConfig = CONFIG
) -> tuple[list[Ranker], Ranker]:
    """Rankers of the folds, with the better objective, and one of all lists, by so many processes."""
    with done_by(Apart()):
        fitting = CrossFit(lists, FOLDS, config, processes)
        parts = fitting.rankers()
        chosen = parts[0].config.model_copy(update={"trees": parts[0].trees})
        return parts, fitting.whole(chosen)


def ndcg(ranker: Ranker) -> np.ndarray:
    return graded_ndcg(ranker.predict(TEST.matrix), TEST.labels, TEST.sizes)


def root(ranker: Ranker) -> dict[str, Any]:
    tree: dict[str, Any] = ranker._booster.dump_model()["tree_info"][0]["tree_structure"]
    return tree


@pytest.mark.parametrize("processes", [2, 3])
def test_trees_of_several_processes_are_those_of_all_lists(processes: int) -> None:
    """Each tree counts the rows of all, a model is as good as one process's, and the same when made again."""
    (*parts,), whole = fitted(LISTS, processes)
    (*alone,), one = fitted(LISTS, 1)
    for part, other in zip(parts, alone, strict=True):
        assert root(part)["internal_count"] == root(other)["internal_count"] == 200 * 30
    assert root(whole)["internal_count"] == len(LISTS.labels)
    assert abs(paired(ndcg(whole), ndcg(one), seed=0).mean) < 0.01
    assert ndcg(whole).mean() > graded_ndcg(TEST.matrix[:, 0], TEST.labels, TEST.sizes).mean() + 0.3
    assert max(parts[0].history) == pytest.approx(max(alone[0].history), abs=0.01)
    (*again,), whole_again = fitted(LISTS, processes)
    assert [part.text for part in again] == [part.text for part in parts]
    assert whole_again.text == whole.text


def test_the_first_tree_is_that_of_one_process_where_bins_are_the_same() -> None:
    """With few values a bin is a value, whoever finds it: then splits are those of one process."""
    coarse = replace(LISTS, matrix=np.round(np.nan_to_num(LISTS.matrix)).clip(-2, 2).astype(np.float32))
    few = CONFIG.model_copy(update={"trees": 8, "feature_fraction": 1.0})
    _, two = fitted(coarse, 2, few)
    _, one = fitted(coarse, 1, few)
    np.testing.assert_allclose(two.predict(TEST.matrix), one.predict(TEST.matrix), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("objective", ["auto", "lambdarank", "binary"])
def test_weights_that_some_processes_alone_have_count_in_all(objective: str) -> None:
    """Lists with weights are in one process only, and all must grow by the same gradients."""
    weights = np.ones(len(LISTS.labels), dtype=np.float32)
    weights[: LISTS.sizes[0]] = np.where(LISTS.labels[: LISTS.sizes[0]] > 0, 1, 40)
    lists = replace(LISTS, weights=weights)
    _, two = fitted(lists, 2, RankerConfig(**SMALL, objective=objective))
    _, one = fitted(lists, 1, RankerConfig(**SMALL, objective=objective))
    assert abs(paired(ndcg(two), ndcg(one), seed=0).mean) < 0.02
    assert two.config.min_data_in_leaf == one.config.min_data_in_leaf


def test_what_cannot_be_grown_together_is_named() -> None:
    with pytest.raises(ConfigError, match=r"list_shards is 2, .* no cluster is named: give --ray local"):
        CrossFit(LISTS, FOLDS, CONFIG, 2)
    with pytest.raises(ConfigError, match="no cluster is named"):
        check_cluster(2)
    check_cluster(1)
    with (
        done_by(Apart()),
        pytest.raises(ConfigError, match=r"101 processes \(scale.list_shards\) .* a fold has 100 of them"),
    ):
        CrossFit(LISTS, FOLDS, CONFIG, 101)


def unconnected(*_: Any) -> Callable[[Member], Any]:
    return lambda member: ([f"trees of {member.number}"], [])


def test_processes_that_grew_other_trees_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where nobody is connected, and each grows trees of its own lists."""
    monkeypatch.setattr(grouping, "growing_in", unconnected)
    with done_by(Apart()), pytest.raises(FunnelError, match=r"2 processes .* grew different ones"):
        CrossFit(LISTS, FOLDS, CONFIG, 2).whole(CONFIG)


def test_a_mean_is_that_of_all_lists_and_the_same_in_each_process() -> None:
    told = [(0.1, 1.0), (0.75 * 3, 3.0), (0.0, 0.0)]
    means = {
        Peers(3, lambda value, at=at: [value if i == at else other for i, other in enumerate(told)]).mean(
            *own
        )
        for at, own in enumerate([(0.1, 1.0), (0.75, 3.0), (0.0, 0.0)])
    }
    assert len(means) == 1
    assert means.pop() == pytest.approx(np.average([0.1, 0.75], weights=[1, 3]))
    assert Peers(1, lambda value: [value]).mean(0.3, 0.0) == 0
    assert Peers().mean(0.3, 0.0) == 0.3
