"""The filter that holds for every request of a bundle (`retrieve.where`), on requests of its data.

A live request is filtered by what its caller says. Requests of the data say it in codes: a category that
training never had is not known there, and nothing that is compared with it passes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from funnel.allow import Allow
from funnel.bundle.contents import Contents
from funnel.catalogue import moment
from funnel.catalogue.where import Where
from funnel.types import Examples, Int32, Requests


def effective(contents: Contents, where: Where | None) -> Where | None:
    """A request's filter and the one that always holds, as one filter."""
    always = contents.retrieve.where
    if always is None or where is None or (isinstance(where, Mapping) and not where):
        return where if always is None else always
    return {"and": [always, where]}


def under(contents: Contents, examples: Examples) -> Examples:
    """The examples, whose requests may only be given what passes."""
    return replace(examples, requests=requests_under(contents, examples.requests))


def requests_under(contents: Contents, requests: Requests) -> Requests:
    """The requests, which may only be given what passes; as they are where no filter always holds."""
    where = contents.retrieve.where
    if where is None:
        return requests
    columns = {name: _known(contents, requests, name) for name in moment.named(where)}
    contexts = [{name: of[row] for name, of in columns.items()} for row in range(len(requests))]
    return replace(requests, allow=allowed_by(contents, where, contexts))


def allowed_by(contents: Contents, where: Where, contexts: Sequence[Mapping[str, Any]]) -> Allow:
    """The items that a filter lets pass for each of a batch. contexts: the values that it compares items
    with, by name; those of equal values share a bitmap."""
    filter_of, distinct = _distinct(contexts)
    allow = contents.catalogue.allow(*(moment.resolved(where, context) for context in distinct))
    return replace(allow, filter_of=filter_of)


def _known(contents: Contents, requests: Requests, name: str) -> list[Any]:
    """What requests say of a context column, as a filter looks for it; None where it is missing."""
    if contents.context is None or name not in requests.context:
        return [None] * len(requests)
    if name in requests.context_numbers:
        return [None if np.isnan(value) else value for value in requests.context_numbers[name].tolist()]
    codes, values = requests.context[name], [None, *contents.context.values(name)]
    if codes.ndim == 1:
        return [values[code] for code in codes.tolist()]
    return [[values[code] for code in row if code] or None for row in codes.tolist()]


def _distinct(contexts: Sequence[Mapping[str, Any]]) -> tuple[Int32, list[Mapping[str, Any]]]:
    """Which of the distinct ones each is, and these; one at least."""
    numbers: dict[str, int] = {}
    distinct: list[Mapping[str, Any]] = []
    of = np.empty(len(contexts), dtype=np.int32)
    for row, context in enumerate(contexts):
        number = of[row] = numbers.setdefault(repr(context), len(numbers))
        if number == len(distinct):
            distinct.append(context)
    return of, distinct or [{}]
