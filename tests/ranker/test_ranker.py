"""The ranker: it learns, it keeps, it explains, and it says what is wrong."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from funnel.errors import BundleError, ConfigError, DataError
from funnel.ranker import CrossFit, Ranker, RankerConfig, TrainingLists, graded_ndcg

SMALL = {"trees": 60, "leaves": 7, "min_data_in_leaf": 20, "threads": 1}
NAMES = ("retrieval score", "taste:match", "noise.é")


def world(seed: int, n_lists: int = 150, size: int = 30) -> TrainingLists:
    """Lists in retrieval order; what is taken depends on the match far more than on the retrieval score."""
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(n_lists, size, 3)).astype(np.float32)
    matrix[..., 0] = -np.sort(-matrix[..., 0], axis=1)
    utility = 0.3 * matrix[..., 0] + np.abs(matrix[..., 1]) + 0.2 * rng.normal(size=(n_lists, size))
    labels = (utility >= np.sort(utility, axis=1)[:, -3:-2]).astype(np.float32)
    matrix[..., 2][rng.random((n_lists, size)) < 0.1] = np.nan
    return TrainingLists(matrix.reshape(-1, 3), labels.ravel(), np.full(n_lists, size), NAMES)


TRAIN, VALID, TEST = world(0), world(1, 60), world(2, 60)


@pytest.fixture(scope="module")
def ranker() -> Ranker:
    return Ranker.fit(TRAIN, VALID, RankerConfig(**SMALL))


def ndcg(scores: np.ndarray) -> float:
    return float(graded_ndcg(scores, TEST.labels, TEST.sizes).mean())


@pytest.mark.parametrize("objective", ["lambdarank", "rank_xendcg", "binary"])
def test_every_objective_beats_the_retrieval_order(objective: str) -> None:
    fitted = Ranker.fit(TRAIN, VALID, RankerConfig(objective=objective, **SMALL))
    retrieval = ndcg(TEST.matrix[:, 0])
    assert ndcg(fitted.predict(TEST.matrix)) > retrieval + 0.3


def test_trees_may_see_the_smallest_share_of_few_lists() -> None:
    few = RankerConfig(objective="rank_xendcg", bagging_fraction=0.01, trees=5, threads=1)
    assert Ranker.fit(world(2, n_lists=3, size=4), None, few).trees >= 1


def test_early_stopping_keeps_the_best_number_of_trees(ranker: Ranker) -> None:
    assert ranker.trees == 1 + int(np.argmax(ranker.history))
    stopped = Ranker.fit(TRAIN, VALID, RankerConfig(**SMALL | {"trees": 500}, stop_after=5))
    assert len(stopped.history) == stopped.trees + 5 < 500


def test_cross_fitted_rankers_are_grown_on_the_other_folds_and_cut_where_they_did_best_together() -> None:
    folds = np.arange(len(TRAIN)) % 3
    config = RankerConfig(**SMALL, objective="rank_xendcg")
    parts = Ranker.cross_fit(TRAIN, folds, config)
    assert [part.trees for part in parts] == [1 + int(np.argmax(parts[0].history))] * 3
    rows = np.repeat(folds, TRAIN.sizes)
    own = []
    for fold, part in enumerate(parts):
        matrix, labels, sizes = (
            TRAIN.matrix[rows == fold],
            TRAIN.labels[rows == fold],
            TRAIN.sizes[folds == fold],
        )
        own.append(graded_ndcg(part.predict(matrix), labels, sizes).mean())
    assert np.mean(own) == pytest.approx(max(parts[0].history), abs=1e-6)
    # What a fold holds decides nothing about its own trees but where they are cut.
    labels = np.where(rows == 0, 0, TRAIN.labels).astype(np.float32)
    labels[np.flatnonzero(rows == 0)[:: TRAIN.sizes[0]]] = 1
    one = config.model_copy(update={"trees": 1})
    ours, theirs = (
        Ranker.cross_fit(replace(TRAIN, labels=some), folds, one)[0] for some in (TRAIN.labels, labels)
    )
    np.testing.assert_array_equal(ours.predict(TEST.matrix), theirs.predict(TEST.matrix))


@pytest.mark.parametrize("seed", range(3))
def test_the_objective_that_is_ahead_after_some_trees_goes_on_and_the_other_does_not(seed: int) -> None:
    lists, folds, some = world(seed, 40), np.arange(40) % 2, SMALL | {"stop_after": 4}
    by_name = {
        name: Ranker.cross_fit(lists, folds, RankerConfig(**some, objective=name))
        for name in ("rank_xendcg", "lambdarank")
    }
    ahead = max(by_name, key=lambda name: max(by_name[name][0].history[:4]))
    grown: list[int] = []
    config = RankerConfig(**some)
    parts = Ranker.cross_fit(lists, folds, config, progress=lambda number, _: grown.append(number))
    assert {part.config.objective for part in parts} == {ahead}
    assert [part.text for part in parts] == [part.text for part in by_name[ahead]]
    assert parts[0].history == by_name[ahead][0].history
    assert len(parts[0].history) > 4
    assert len(grown) == 4 + 4 + len(parts[0].history)
    assert Ranker.fit(lists, None, config).config.objective == "rank_xendcg"


def test_cross_fitting_needs_a_fold_a_list_and_two_folds() -> None:
    for folds in (np.zeros(len(TRAIN), dtype=np.int64), np.arange(3)):
        with pytest.raises(DataError, match="one a list is needed, and at least two folds"):
            Ranker.cross_fit(TRAIN, folds, RankerConfig(**SMALL))


def test_history_is_the_ndcg_of_the_validation_lists(ranker: Ranker) -> None:
    own = graded_ndcg(ranker.predict(VALID.matrix), VALID.labels, VALID.sizes).mean()
    assert own == pytest.approx(max(ranker.history), abs=1e-6)


def test_without_validation_all_trees_are_kept() -> None:
    told: list[tuple[int, float]] = []
    fitted = Ranker.fit(
        TRAIN, None, RankerConfig(**SMALL | {"trees": 5}), progress=lambda n, value: told.append((n, value))
    )
    assert fitted.trees == 5
    assert [n for n, _ in told] == [1, 2, 3, 4, 5]
    assert np.isnan([value for _, value in told]).all()


def test_same_seed_same_model_whatever_the_threads(tmp_path: Path, ranker: Ranker) -> None:
    again = Ranker.fit(TRAIN, VALID, RankerConfig(**SMALL))
    ranker.save(tmp_path / "a")
    again.save(tmp_path / "b")
    for name in ("model.txt", "ranker.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    one, two = (Ranker.fit(TRAIN, None, RankerConfig(**SMALL | {"threads": n, "trees": 4})) for n in (1, 2))
    np.testing.assert_array_equal(one.predict(TEST.matrix), two.predict(TEST.matrix))
    other = Ranker.fit(TRAIN, VALID, RankerConfig(**SMALL, seed=1, feature_fraction=0.5))
    assert not np.array_equal(other.predict(TEST.matrix), ranker.predict(TEST.matrix))


def test_three_folds_on_two_threads_are_as_on_one() -> None:
    """Threads take turns at the models, and are a tree ahead of early stopping."""
    folds = np.arange(len(TRAIN)) % 3
    options = SMALL | {"stop_after": 5, "trees": 40, "objective": "rank_xendcg"}
    one, two = (
        Ranker.cross_fit(TRAIN, folds, RankerConfig(**options | {"threads": threads})) for threads in (1, 2)
    )
    assert one[0].history == two[0].history
    assert one[0].trees == int(np.argmax(one[0].history)) + 1
    for alone, beside in zip(one, two, strict=True):
        np.testing.assert_array_equal(alone.predict(TEST.matrix), beside.predict(TEST.matrix))


def test_saved_and_loaded_it_predicts_the_same(tmp_path: Path, ranker: Ranker) -> None:
    ranker.save(tmp_path)
    loaded = Ranker.load(tmp_path)
    np.testing.assert_array_equal(loaded.predict(TEST.matrix, threads=2), ranker.predict(TEST.matrix))
    assert (loaded.names, loaded.config, loaded.history, loaded.trees) == (
        NAMES, ranker.config, ranker.history, ranker.trees,
    )  # fmt: skip


def test_contributions_add_up_to_the_score(ranker: Ranker) -> None:
    for row in TEST.matrix[:5]:
        parts = ranker.explain(row)
        assert set(parts) == {*NAMES, "base"}
        assert sum(parts.values()) == pytest.approx(ranker.predict(row[None])[0], abs=1e-9)
        sizes = [abs(value) for name, value in parts.items() if name != "base"]
        assert sizes == sorted(sizes, reverse=True)


def test_importance_names_what_mattered(ranker: Ranker) -> None:
    frame = ranker.importance()
    assert frame["feature"].iloc[0] == "taste:match"
    assert list(frame.columns) == ["feature", "gain", "splits"]
    assert frame["gain"].is_monotonic_decreasing
    assert frame["splits"].sum() > 0


def test_no_rows_no_scores(ranker: Ranker) -> None:
    assert ranker.predict(np.empty((0, 3), dtype=np.float32)).shape == (0,)


def test_wrong_columns_are_refused(ranker: Ranker) -> None:
    with pytest.raises(ConfigError, match=r"takes \[N, 3\] features, not \[4, 2\].*taste:match"):
        ranker.predict(np.zeros((4, 2), dtype=np.float32))
    with pytest.raises(ConfigError, match="one row, not 2"):
        ranker.explain(np.zeros((2, 3), dtype=np.float32))
    with pytest.raises(ConfigError, match=r"missing \['noise.é'\], unknown \['other'\]"):
        ranker.check((*NAMES[:2], "other"))
    with pytest.raises(ConfigError, match="another order"):
        ranker.check(NAMES[::-1])


def test_lists_that_cannot_be_learned_from_are_refused() -> None:
    nothing = TrainingLists(
        np.empty((0, 3), np.float32), np.empty(0, np.float32), np.empty(0, np.int64), NAMES
    )
    with pytest.raises(DataError, match="no training lists"):
        Ranker.fit(nothing, None, RankerConfig())
    renamed = TrainingLists(VALID.matrix, VALID.labels, VALID.sizes, ("a", "b", "c"))
    with pytest.raises(DataError, match="other features"):
        Ranker.fit(TRAIN, renamed, RankerConfig())
    with pytest.raises(DataError, match="do not fit together"):
        TrainingLists(VALID.matrix, VALID.labels, VALID.sizes[1:], NAMES)


@pytest.mark.parametrize("damage", ["no side", "no model", "text", "names", "json", "cut"])
def test_damaged_files_are_refused(tmp_path: Path, ranker: Ranker, damage: str) -> None:
    ranker.save(tmp_path)
    model, side = tmp_path / "model.txt", tmp_path / "ranker.json"
    if damage == "no side":
        side.unlink()
    elif damage == "no model":
        model.unlink()
    elif damage == "text":
        model.write_text("not a model")
    elif damage == "names":
        side.write_text(json.dumps(json.loads(side.read_text()) | {"names": ["a", "b", "c"]}))
    elif damage == "json":
        side.write_text("{")
    else:
        model.write_text(model.read_text()[:100])
    with pytest.raises(BundleError):
        Ranker.load(tmp_path)


def test_config_is_checked() -> None:
    with pytest.raises(ValidationError, match="leaves"):
        RankerConfig(leaves=1)
    with pytest.raises(ValidationError, match="objective"):
        RankerConfig(objective="pairwise")  # type: ignore[arg-type]


def test_a_cross_fit_makes_the_rankers_that_lists_of_their_own_make() -> None:
    config = RankerConfig(**SMALL, objective="rank_xendcg")
    folds = np.arange(len(TRAIN)) % 3
    fitting = CrossFit(TRAIN, folds, config)
    parts = fitting.rankers()
    assert [part.trees for part in parts] == [part.trees for part in Ranker.cross_fit(TRAIN, folds, config)]
    few = config.model_copy(update={"trees": 7})
    whole, alone = fitting.whole(few), Ranker.fit(TRAIN, None, few)
    assert whole.trees == alone.trees == 7
    np.testing.assert_array_equal(whole.predict(VALID.matrix), alone.predict(VALID.matrix))


def test_scores_may_begin_with_a_feature(tmp_path: Path, ranker: Ranker) -> None:
    lists = world(seed=5, n_lists=3)
    model, first = ranker._model, ranker.names[0]
    matrix = lists.matrix.copy()
    matrix[1, 0] = np.nan
    begun = Ranker(model, ranker.names, ranker.config, begin=first)
    expected = ranker.predict(matrix) + np.where(np.isnan(matrix[:, 0]), 0, matrix[:, 0])
    np.testing.assert_allclose(begun.predict(matrix), expected, rtol=1e-12)
    begun.save(tmp_path)
    again = Ranker.load(tmp_path)
    assert again.begin == first
    np.testing.assert_array_equal(again.predict(matrix), begun.predict(matrix))
    listed = again.predict_lists(matrix.reshape(3, -1, matrix.shape[1]), lists.sizes)
    np.testing.assert_array_equal(listed.ravel(), begun.predict(matrix))
    parts = again.explain(matrix[0])
    assert sum(parts.values()) == pytest.approx(again.predict(matrix[:1])[0])
    with pytest.raises(BundleError, match="begin with 'colour'"):
        Ranker(model, ranker.names, ranker.config, begin="colour")
