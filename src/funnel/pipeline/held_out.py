"""Samples of a window, and the part of the test window that a bundle keeps."""

from __future__ import annotations

import numpy as np

from funnel.bundle.contents import Contents
from funnel.bundle.holdout import Holdout
from funnel.bundle.standing_filter import under
from funnel.gates.serving import answers
from funnel.pipeline.prepare import Prepared
from funnel.types import Examples


def sample(examples: Examples, n: int, seed: int) -> Examples:
    """At most n examples, drawn by the seed."""
    chosen = np.random.default_rng(seed).permutation(len(examples))[:n]
    return examples.take(np.sort(chosen))


def holdout_of(contents: Contents, prepared: Prepared) -> Holdout:
    """A seeded sample of the test window, with the bundle's recommendations."""
    config = prepared.config
    examples = under(contents, sample(prepared.split.test, config.gates.holdout, config.seed))
    return Holdout(examples, answers(contents, examples.requests), _shown(contents, prepared))


def _shown(contents: Contents, prepared: Prepared) -> Examples | None:
    """A seeded sample of the lists that were shown in the test window, where heads learned from such."""
    lists = None if contents.propensities is None else prepared.test_lists
    if lists is None:
        return None
    return sample(lists.examples, prepared.config.gates.holdout, prepared.config.seed)
