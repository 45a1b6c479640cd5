"""Requests of the ranker's window once more, without what was known at their moment.

The data say it of each event, and callers may leave it out. Trees that never met a request without it send
all of its candidates to where the few odd ones of training went.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from funnel.bundle.contents import Contents
from funnel.towers.inputs import missing
from funnel.types import Examples, Int32, Int64

#: So many of the requests are there once more; the towers have as great a share of such places.
AGAIN = 0.1


def rows_again(contents: Contents, users: Int32, seed: int) -> Int64:
    """The rows of requests, and behind them those that are there once more; none where the bundle has no
    declared context. users: of each. One that is not known is a user of its own, who is never there twice:
    else a request would be judged by trees that were grown on it."""
    n = len(users)
    chosen = (np.random.default_rng((seed, n)).random(n) < AGAIN) & (users >= 0)
    declared = contents.context is not None and contents.context.table.specs
    return np.append(np.arange(n), np.flatnonzero(chosen) if declared else np.arange(0))


def unknown_from(contents: Contents, examples: Examples, first: int) -> Examples:
    """The examples, of which those from a row on know nothing of their moment but the time."""
    if contents.context is None or first == len(examples):
        return examples
    requests, none = examples.requests, len(examples) - first
    context, numbers = dict(requests.context), dict(requests.context_numbers)
    for name in context.keys() & contents.context.table.specs:
        unknown = missing(contents.context.table.specs[name], none)
        context[name] = np.concatenate([context[name][:first], unknown])
    for name in numbers:
        numbers[name] = np.append(numbers[name][:first], np.full(none, np.nan))
    return replace(examples, requests=replace(requests, context=context, context_numbers=numbers))
