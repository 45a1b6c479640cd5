"""Requests of the ranker's window that do not say what was known at their moment.

The data say it of each event, and callers may leave it out. Trees that never met a request without it send
all of its candidates to where the few odd ones of training went.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from funnel.bundle.contents import Contents
from funnel.features.spec import Spec
from funnel.towers.inputs import missing
from funnel.types import Bool, Examples, Features

#: Share of the requests, as of the places that the towers learn from.
UNKNOWN = 0.1


def some_unknown(contents: Contents, examples: Examples, seed: int) -> Examples:
    """The examples, a tenth of which know nothing of their moment but the time; all as they are where the
    bundle has no declared context."""
    if contents.context is None or not (specs := contents.context.table.specs):
        return examples
    unknown = np.random.default_rng((seed, len(examples))).random(len(examples)) < UNKNOWN
    requests = examples.requests
    return replace(
        examples,
        requests=replace(
            requests,
            context=_blanked(requests.context, specs, unknown),
            context_numbers={
                name: np.where(unknown, np.nan, of) for name, of in requests.context_numbers.items()
            },
        ),
    )


def _blanked(context: Features, specs: Mapping[str, Spec], unknown: Bool) -> Features:
    out = dict(context)
    for name in context.keys() & specs:
        out[name] = context[name].copy()
        out[name][unknown] = missing(specs[name], int(unknown.sum()))
    return out
