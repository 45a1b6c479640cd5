"""LightGBM's model text, read into flat arrays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funnel.errors import BundleError
from funnel.types import Bool, Int64

#: What LightGBM's `decision_type` says of a missing value; CATEGORICAL is ours, for splits on a set.
NONE, ZERO, NAN, CATEGORICAL = range(4)


@dataclass(frozen=True)
class Splits:
    """Inner nodes, one array a property: int64 [n] where nothing else is said.

    features: columns of the matrix. thresholds: float64 [n], or the number of the split's set.
    missing: NONE, ZERO, NAN or CATEGORICAL. default_left: bool [n]. left, right: inner nodes, or ~leaf.
    """

    features: Int64
    thresholds: NDArray[np.float64]
    missing: Int64
    default_left: Bool
    left: Int64
    right: Int64


@dataclass(frozen=True)
class Tree:
    """values: float64 [leaves]. sets: the bits of each categorical split's left side, 32 a word."""

    splits: Splits
    values: NDArray[np.float64]
    sets: tuple[NDArray[np.uint32], ...]


@dataclass(frozen=True)
class Model:
    """names: the features. A row's raw score is the sum over the trees, of a random forest too."""

    names: tuple[str, ...]
    trees: tuple[Tree, ...]


def parse(text: str) -> Model:
    """The trees of a model as LightGBM saves it (version 4 of the format).

    Raises: BundleError for text that is cut or no such model, for several scores a row (multiclass), and for
    linear trees.
    """
    body, end, _ = text.partition("\nend of trees")
    head, *sections = body.split("\nTree=")
    about = dict(_pairs(head))
    try:
        if not (end and head.startswith("tree\n") and len(sections) == len(about["tree_sizes"].split())):
            raise BundleError("the ranker's model is not LightGBM text, or part of it is missing")
        if about["num_tree_per_iteration"] != "1":
            raise BundleError(
                f"the ranker's model gives {about['num_tree_per_iteration']} scores a row (multiclass); "
                "a ranker needs one: train with lambdarank, rank_xendcg, binary or a regression objective"
            )
        names = tuple(about["feature_names"].split())
        trees = tuple(_tree(dict(_pairs(section)), len(names)) for section in sections)
        return Model(names, trees)
    except (KeyError, ValueError, IndexError) as error:
        raise BundleError(f"the ranker's model is not LightGBM text: {error!r}") from error


def _pairs(lines: str) -> Iterator[tuple[str, str]]:
    return ((key, value) for key, _, value in (line.partition("=") for line in lines.split("\n")))


def _tree(told: dict[str, str], n_features: int) -> Tree:
    if told.get("is_linear", "0") != "0":
        raise BundleError("the ranker's model has linear leaves; train it without linear_tree")
    leaves = int(told["num_leaves"])
    kinds = _numbers(told, "decision_type", leaves - 1).astype(np.int64)
    splits = Splits(
        features=_numbers(told, "split_feature", leaves - 1).astype(np.int64),
        thresholds=_numbers(told, "threshold", leaves - 1),
        missing=np.where(kinds & 1, CATEGORICAL, kinds >> 2 & 3),
        default_left=(kinds & 2) > 0,
        left=_numbers(told, "left_child", leaves - 1).astype(np.int64),
        right=_numbers(told, "right_child", leaves - 1).astype(np.int64),
    )
    sets: tuple[NDArray[np.uint32], ...] = ()
    if int(told.get("num_cat", "0")):
        words = np.array(told["cat_threshold"].split(), dtype=np.uint32)
        ends = np.array(told["cat_boundaries"].split(), dtype=np.int64)
        sets = tuple(words[start:stop] for start, stop in pairwise(ends))
    _check(splits.features, n_features, "features")
    _check(splits.thresholds[(kinds & 1) > 0], len(sets), "sets of categories")
    _check(kinds >> 2 & 3, CATEGORICAL, "ways to be missing")
    return Tree(splits, _numbers(told, "leaf_value", leaves), sets)


def _check(numbers: NDArray[Any], n: int, what: str) -> None:
    if len(numbers) and not 0 <= numbers.min() <= numbers.max() < n:
        raise ValueError(f"a split names number {numbers.max():.0f} of {n} {what}")


def _numbers(told: dict[str, str], key: str, n: int) -> NDArray[np.float64]:
    """n numbers, each read to its nearest float64, as LightGBM does."""
    if n == 0:
        return np.empty(0, dtype=np.float64)
    numbers = np.array([float(part) for part in told[key].split()], dtype=np.float64)
    if len(numbers) != n:
        raise ValueError(f"{key} has {len(numbers)} numbers for {n} nodes")
    return numbers
