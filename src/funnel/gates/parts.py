"""The parts of the requests that are judged by themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funnel.bundle.contents import Contents
from funnel.data import Schema
from funnel.types import Bool, Examples
from funnel.values.words import word

_MOST = 20  # values of a column, the most frequent ones
_NAMED = ("category", "boolean", "multi_category")
_HISTORIES = {"no history": (0, 1), "a history of 1 to 9": (1, 10), "a history of 10 or more": (10, 2**31)}


def parts(contents: Contents, schema: Schema, examples: Examples) -> dict[str, Bool]:
    """By length of history, by popularity of what was taken, by each common value of a category: bool [B]."""
    by_name = _histories(examples)
    popular = _any(_head(contents)[examples.targets.values], examples)
    by_name |= {"popular items": popular, "items of the long tail": ~popular}
    for column in schema.columns("items"):
        if column.kind in _NAMED and column.name in contents.catalogue.frame.columns:
            by_name |= _item_values(contents, column.name, examples)
    return by_name | _users(contents, examples)


def known_parts(
    contents: Contents, schema: Schema, examples: Examples
) -> tuple[Iterator[tuple[str, Bool]], Iterator[tuple[str, Bool]]]:
    """Parts by what is known before anything happens: of the requests, bool [B], and of the items that may be
    returned, bool [n_items]. By what was taken, as in `parts`, a probability could not be judged.
    """
    return iter((_histories(examples) | _users(contents, examples)).items()), _items(contents, schema)


def _items(contents: Contents, schema: Schema) -> Iterator[tuple[str, Bool]]:
    head, frame = _head(contents), contents.catalogue.frame
    yield from (("popular items", head), ("items of the long tail", ~head))
    for column in schema.columns("items"):
        if column.kind in _NAMED and column.name in frame.columns:
            cells = [_values(cell) for cell in frame[column.name]]
            counts = Counter(value for cell in cells for value in cell)
            for value, _ in counts.most_common(_MOST):
                inside = np.fromiter((value in cell for cell in cells), np.bool_, count=len(cells))
                yield f"items.{column.name} = {value}", inside


def _histories(examples: Examples) -> dict[str, Bool]:
    lengths = examples.requests.history.lengths
    return {name: (lengths >= low) & (lengths < high) for name, (low, high) in _HISTORIES.items()}


def _users(contents: Contents, examples: Examples) -> dict[str, Bool]:
    by_name: dict[str, Bool] = {}
    for name, spec in contents.users.encoder.specs.items():
        if spec.kind == "category" and name in examples.requests.user_features:
            by_name |= _user_values(contents, name, np.asarray(examples.requests.user_features[name]))
    return by_name


def _head(contents: Contents) -> Bool:
    """The most popular items that together have half of all events: bool [n_items]."""
    counts = np.bincount(contents.users.history.values, minlength=len(contents.catalogue.ids))
    order = np.argsort(-counts, kind="stable")
    reached = np.cumsum(counts[order])
    head = np.zeros(len(counts), dtype=np.bool_)
    head[order[: int(np.searchsorted(reached, counts.sum() / 2)) + 1]] = True
    return head


def _any(of_targets: Bool, examples: Examples) -> Bool:
    """The requests with one of these targets: bool [B]."""
    return np.bincount(examples.targets.list_of[of_targets], minlength=len(examples)) > 0


def _item_values(contents: Contents, name: str, examples: Examples) -> dict[str, Bool]:
    """Requests by a value of what was taken. A target in several is in each of them."""
    column = contents.catalogue.frame[name]
    cells = [_values(cell) for cell in column.iloc[examples.targets.values]]
    counts = Counter(value for cell in cells for value in cell)
    by_name = {}
    for value, _ in counts.most_common(_MOST):
        of_targets = np.fromiter((value in cell for cell in cells), np.bool_, count=len(cells))
        by_name[f"items.{name} = {value}"] = _any(of_targets, examples)
    return by_name


def _values(cell: Any) -> list[str]:
    if isinstance(cell, list | np.ndarray):
        return [str(value) for value in cell]
    value = word(cell, "") if isinstance(cell, str | bool | np.bool_) else None
    return [] if value is None else [value]


def _user_values(contents: Contents, name: str, codes: NDArray[Any]) -> dict[str, Bool]:
    values = contents.users.encoder.values(name)
    return {f"users.{name} = {value}": codes == code for code, value in enumerate(values[:_MOST], start=1)}
