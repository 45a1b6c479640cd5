"""Parses LightGBM's model text into flat arrays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funnel.errors import BundleError
from funnel.types import Bool, Int64

#: How a missing value is treated, as in LightGBM's `decision_type`; CATEGORICAL is ours, for splits on a set.
NONE, ZERO, NAN, CATEGORICAL = range(4)


@dataclass(frozen=True)
class Splits:
    """Inner nodes, an array for each property: int64 [n] unless noted.

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
    """One tree. values: float64 [leaves]. sets: the bits of each categorical split's left side, 32 a word."""

    splits: Splits
    values: NDArray[np.float64]
    sets: tuple[NDArray[np.uint32], ...]


@dataclass(frozen=True)
class Model:
    """A model of several trees. names: of the features.

    A row's raw score is the sum over the trees, also of a random forest.
    """

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


def _tree(fields: dict[str, str], n_features: int) -> Tree:
    if fields.get("is_linear", "0") != "0":
        raise BundleError("the ranker's model has linear leaves; train it without linear_tree")
    leaves = int(fields["num_leaves"])
    kinds = _numbers(fields, "decision_type", leaves - 1).astype(np.int64)
    splits = Splits(
        features=_numbers(fields, "split_feature", leaves - 1).astype(np.int64),
        thresholds=_numbers(fields, "threshold", leaves - 1),
        missing=np.where(kinds & 1, CATEGORICAL, kinds >> 2 & 3),
        default_left=(kinds & 2) > 0,
        left=_numbers(fields, "left_child", leaves - 1).astype(np.int64),
        right=_numbers(fields, "right_child", leaves - 1).astype(np.int64),
    )
    sets: tuple[NDArray[np.uint32], ...] = ()
    if int(fields.get("num_cat", "0")):
        words = np.array(fields["cat_threshold"].split(), dtype=np.uint32)
        ends = np.array(fields["cat_boundaries"].split(), dtype=np.int64)
        sets = tuple(words[start:stop] for start, stop in pairwise(ends))
    _check(splits.features, n_features, "features")
    _check(splits.thresholds[(kinds & 1) > 0], len(sets), "sets of categories")
    _check(kinds >> 2 & 3, CATEGORICAL, "ways to be missing")
    return Tree(splits, _numbers(fields, "leaf_value", leaves), sets)


def _check(numbers: NDArray[Any], n: int, what: str) -> None:
    if len(numbers) and not 0 <= numbers.min() <= numbers.max() < n:
        raise ValueError(f"a split names number {numbers.max():.0f} of {n} {what}")


def _numbers(fields: dict[str, str], key: str, n: int) -> NDArray[np.float64]:
    """n numbers, each read to its nearest float64, as LightGBM does."""
    if n == 0:
        return np.empty(0, dtype=np.float64)
    numbers = np.array([float(part) for part in fields[key].split()], dtype=np.float64)
    if len(numbers) != n:
        raise ValueError(f"{key} has {len(numbers)} numbers for {n} nodes")
    return numbers
