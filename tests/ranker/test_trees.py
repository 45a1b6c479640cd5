"""The compiled trees answer what LightGBM's own evaluation answers, to the last bit."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funnel.errors import BundleError, ConfigError
from funnel.ranker import Ranker, RankerConfig, TrainingLists
from funnel.ranker.trees import Forest
from funnel.ranker.trees.kernels import FEW

WILD = [np.nan, 0.0, -0.0, 1e-45, 1e-36, -1e-36, 1e-35, np.inf, -np.inf, 3e9, -0.5, 0.5, -1, 2.0**31, 1e38]
#: Columns of `table` that hold small whole numbers.
CATEGORIES = [4, 5]


def table(seed: int, n: int) -> np.ndarray:
    """float32 [n, 7]: plain, with NaN, mostly zero, rounded, categories, categories with NaN and below 0."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 7))
    x[rng.random(n) < 0.4, 1] = np.nan
    x[rng.random(n) < 0.5, 2] = 0
    x[:, 3] = np.round(x[:, 3], 1)
    x[:, 4], x[:, 5] = rng.integers(0, 40, n), rng.integers(-2, 100, n)
    x[rng.random(n) < 0.1, 5] = np.nan
    return x.astype(np.float32)


def grow(seed: int, rows: int = 800, trees: int = 4, categories: Any = (), **parameters: Any) -> str:
    """A model's text; small leaves, so that trees grow deep."""
    x = table(seed, rows)
    z = np.nan_to_num(x)
    y = z[:, 0] * z[:, 2] + np.abs(z[:, 1]) + z[:, 3] + np.sin(z[:, 4]) + np.cos(z[:, 5])
    if parameters.get("objective", "regression") != "regression":
        y = (y > np.median(y)).astype(int)
    group = [rows // 8] * 8 if parameters.get("objective") in ("lambdarank", "rank_xendcg") else None
    data = lightgbm.Dataset(x, y, group=group, categorical_feature=list(categories))
    fixed = {
        "verbosity": -1, "num_threads": 1, "min_data_in_leaf": 2, "min_data_per_group": 1, "cat_smooth": 0,
        "objective": "regression", "seed": seed,
    }  # fmt: skip
    return lightgbm.train(fixed | parameters, data, trees).model_to_string()


def near_thresholds(text: str, n_features: int) -> np.ndarray:
    """Rows on, just below and just above the thresholds of a model's numerical splits."""
    told = [np.array(line.split(), float) for line in re.findall("^threshold=(.*)", text, re.MULTILINE)]
    edges = np.unique(np.concatenate([*told, [0.0]]))
    with np.errstate(over="ignore"):
        edge = np.random.default_rng(0).permutation(edges)[:300].astype(np.float32)
    steps = [np.nextafter(edge, np.float32(side * np.inf)) for side in (-1, 1)]
    return np.repeat(np.concatenate([edge, *steps])[:, None], n_features, axis=1)


def rows_for(text: str, seed: int) -> np.ndarray:
    """Plain rows, rows of odd values, and rows on the thresholds."""
    odd = np.random.default_rng(seed).choice(WILD, size=(300, 7)).astype(np.float32)
    return np.concatenate([table(seed + 1, 300), odd, near_thresholds(text, 7)])


def same(text: str, rows: np.ndarray) -> None:
    """All rows together, and each by itself."""
    expected = lightgbm.Booster(model_str=text).predict(rows, raw_score=True, num_threads=1)
    forest = Forest(text)
    np.testing.assert_array_equal(forest.rows(rows), expected)
    alone = forest.lists(rows[:, None], np.ones(len(rows), dtype=np.int64))
    np.testing.assert_array_equal(alone[:, 0], expected)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    leaves=st.sampled_from([2, 3, 8, 9, 31, 64, 65, 130, 400]),
    categories=st.sampled_from([(), (4,), (4, 5)]),
    missing=st.sampled_from([{}, {"zero_as_missing": True}, {"use_missing": False}]),
    kind=st.sampled_from(
        [
            {"objective": "lambdarank"},
            {"objective": "rank_xendcg"},
            {"objective": "binary"},
            {"objective": "regression"},
            {"objective": "regression", "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5},
            {"objective": "binary", "boosting": "dart"},
        ]
    ),
    onehot=st.sampled_from([1, 4]),
)
def test_any_model_answers_as_lightgbm_does(
    seed: int, leaves: int, categories: tuple[int, ...], missing: dict, kind: dict, onehot: int
) -> None:
    text = grow(seed, categories=categories, num_leaves=leaves, max_cat_to_onehot=onehot, **missing, **kind)
    same(text, rows_for(text, seed))


def test_more_leaves_than_a_byte_counts_and_more_thresholds_than_a_column_holds() -> None:
    text = grow(1, rows=6000, trees=2, num_leaves=2500, max_bin=6000, min_data_in_bin=1)
    assert max(int(n) for n in re.findall(r"^num_leaves=(\d+)", text, re.MULTILINE)) > 1000
    same(text, rows_for(text, 1))


def test_a_chain_of_nodes() -> None:
    x = np.arange(400, dtype=np.float32)[:, None]
    data = lightgbm.Dataset(
        x, 2.0 ** np.minimum(np.arange(400), 100), params={"max_bin": 500, "min_data_in_bin": 1}
    )
    text = lightgbm.train(
        {"num_leaves": 150, "min_data_in_leaf": 1, "verbosity": -1, "num_threads": 1}, data, 3
    )
    same(text.model_to_string(), x + np.float32(0.5))


def test_trees_of_one_leaf() -> None:
    x = table(0, 100)
    booster = lightgbm.train(
        {"verbosity": -1, "objective": "regression"}, lightgbm.Dataset(x, np.full(100, 3.0)), 3
    )
    same(booster.model_to_string(), x)


@pytest.mark.parametrize(
    "threshold", ["0", "1e-45", "-1e-37", "1.0000000180025095e-35", "0.1", "1e39", "-1e300", "inf"]
)
@pytest.mark.parametrize("decision", [0, 2, 4, 6, 8, 10])
def test_every_threshold_and_every_way_to_be_missing(threshold: str, decision: int) -> None:
    text = grow(0, trees=1, num_leaves=2)
    text = re.sub("threshold=.*", f"threshold={threshold}", text)
    text = re.sub("decision_type=.*", f"decision_type={decision}", text)
    size = text.index("end of trees") - text.index("Tree=0")
    text = re.sub("tree_sizes=.*", f"tree_sizes={size}", text)
    values = np.array([*WILD, 0.1, np.nextafter(np.float32(0.1), 0), 3.4028235e38, -3.4028235e38], np.float32)
    same(text, np.repeat(values[:, None], 7, axis=1))


@pytest.mark.parametrize("parameters", [{"num_leaves": 31}, {"num_leaves": 100, "zero_as_missing": True}])
def test_lightgbms_own_ranking_example(shared_data: Callable[[str], Path], parameters: dict) -> None:
    svmlight = pytest.importorskip("sklearn.datasets")
    folder = shared_data("lightgbm-lambdarank")

    def part(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rows, labels = svmlight.load_svmlight_file(
            str(folder / f"rank.{name}"), n_features=301, zero_based=True
        )
        return rows.toarray().astype(np.float32), labels, np.loadtxt(folder / f"rank.{name}.query", dtype=int)

    rows, labels, sizes = part("train")
    fixed = {"objective": "lambdarank", "verbosity": -1, "num_threads": 1, "min_data_in_leaf": 5}
    text = lightgbm.train(
        fixed | parameters, lightgbm.Dataset(rows, labels, group=sizes), 50
    ).model_to_string()
    same(text, np.concatenate([part("test")[0], near_thresholds(text, 301)]))


def test_lists_answer_as_their_rows_do() -> None:
    text = grow(2, trees=20, num_leaves=63, categories=CATEGORIES)
    rng = np.random.default_rng(0)
    matrix = table(3, 5 * 1100).reshape(5, 1100, 7)
    for b in range(5):
        for f in np.flatnonzero(rng.random(7) < 0.6):
            matrix[b, :, f] = matrix[b, 0, f]
    matrix[4, :, 1] = np.nan
    matrix[0] = matrix[0, 0]
    lengths = np.array([1100, 0, FEW, 257, FEW + 1])
    forest = Forest(text)
    scores = forest.lists(matrix, lengths)
    booster = lightgbm.Booster(model_str=text)
    for b, n in enumerate(lengths):
        assert (scores[b, n:] == -np.inf).all()
        if n:
            np.testing.assert_array_equal(scores[b, :n], booster.predict(matrix[b, :n], raw_score=True))
    np.testing.assert_array_equal(forest.lists(matrix, lengths, threads=3), scores)
    flat = matrix.reshape(-1, 7)
    np.testing.assert_array_equal(forest.rows(flat, threads=2), forest.rows(flat))


def test_matrices_of_another_layout() -> None:
    text = grow(0)
    rows = table(5, 50)
    expected = Forest(text).rows(rows)
    for other in (np.asfortranarray(rows), np.repeat(rows, 2, axis=0)[::2], rows.astype(np.float64)):
        np.testing.assert_array_equal(Forest(text).rows(other), expected)
    assert Forest(text).rows(rows[:0]).shape == (0,)


def test_models_that_are_not_for_ranking_are_refused() -> None:
    x, y = table(0, 300), np.arange(300) % 3
    many = lightgbm.train(
        {"objective": "multiclass", "num_class": 3, "verbosity": -1}, lightgbm.Dataset(x, y), 2
    )
    with pytest.raises(BundleError, match=r"3 scores a row \(multiclass\)"):
        Forest(many.model_to_string())
    z = np.nan_to_num(x)
    lines = lightgbm.train({"linear_tree": True, "verbosity": -1}, lightgbm.Dataset(z, z[:, 0]), 2)
    with pytest.raises(BundleError, match="linear leaves"):
        Forest(lines.model_to_string())


@pytest.mark.parametrize(
    ("what", "instead"),
    [
        ("left_child=.*", "left_child=1 0 -3"),
        ("right_child=.*", "right_child=1 1 1"),  # a node below two: more leaves than there are
        ("right_child=.*", "right_child=2 -2 -2"),
        ("split_feature=.*", "split_feature=0 0 7"),
        ("split_feature=.*", "split_feature=0 0 -1"),
        ("decision_type=.*", "decision_type=2 2 12"),
        ("decision_type=.*", "decision_type=2 1 2"),
        ("threshold=.*", "threshold=0 1"),
        ("threshold=.*", "threshold=0 one 2"),
        ("leaf_value=.*", "leaf=1"),
        ("num_leaves=.*", "num_leaves=9"),
        ("tree_sizes=.*", "tree_sizes=1 2 3 4 5"),
        ("end of trees", "end"),
        ("^tree", "forest"),
    ],
)
def test_damaged_models_are_refused(what: str, instead: str) -> None:
    text = grow(0, trees=1, num_leaves=4)
    damaged = re.sub(what, instead, text)
    assert damaged != text
    with pytest.raises(BundleError, match="ranker's model"):
        Forest(damaged)


def test_too_many_leaves_are_refused() -> None:
    text, n = grow(0, trees=1, num_leaves=4), 65_537
    chain = {
        "num_leaves": str(n),
        "split_feature": "0 " * (n - 1),
        "threshold": "0 " * (n - 1),
        "decision_type": "0 " * (n - 1),
        "left_child": " ".join(str(~leaf) for leaf in range(n - 1)),
        "right_child": " ".join([*map(str, range(1, n - 1)), str(~(n - 1))]),
        "leaf_value": "0 " * n,
    }
    for key, value in chain.items():
        text = re.sub(f"^{key}=.*", f"{key}={value}", text, flags=re.MULTILINE)
    with pytest.raises(BundleError, match="65537 leaves; at most 65536"):
        Forest(text)


def test_lists_of_another_shape_are_refused() -> None:
    lists = TrainingLists(table(0, 100), np.arange(100) % 2, np.full(5, 20), tuple("abcdefg"))
    ranker = Ranker.fit(lists, None, RankerConfig(trees=3, min_data_in_leaf=5, threads=1))
    matrix = table(1, 20).reshape(2, 10, 7)
    np.testing.assert_array_equal(
        ranker.predict_lists(matrix, np.array([10, 10])).ravel(), ranker.predict(matrix.reshape(-1, 7))
    )
    with pytest.raises(ConfigError, match=r"takes \[B, K, 7\] features, not \[20, 7\]"):
        ranker.predict_lists(matrix.reshape(-1, 7), np.array([10, 10]))
    for lengths in ([11, 10], [-1, 3], [10]):
        with pytest.raises(ConfigError, match="lengths of 2 lists are needed, each 0 to 10"):
            ranker.predict_lists(matrix, np.array(lengths))


def test_answering_does_not_import_lightgbm(tmp_path: Path) -> None:
    lists = TrainingLists(table(0, 100), np.arange(100) % 2, np.full(5, 20), tuple("abcdefg"))
    Ranker.fit(lists, None, RankerConfig(trees=3, min_data_in_leaf=5, threads=1)).save(tmp_path)
    code = (
        "import sys, pathlib, numpy; from funnel.ranker import Ranker; "
        f"ranker = Ranker.load(pathlib.Path({str(tmp_path)!r})); "
        "print(len(ranker.predict(numpy.zeros((2, 7), numpy.float32))), 'lightgbm' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2", "False"]
