"""Advice, and what is known of a bundle's training that advice is based on: values in report.json."""

from __future__ import annotations

from typing import Literal

from funnel.evaluation.bootstrap import Difference
from funnel.evaluation.compare import short
from funnel.settings import Settings

About = Literal["part_better", "ranker", "order", "retrieve", "shortlist", "search", "training", "rerank"]


class Training(Settings):
    """How the training of the towers went."""

    validation: tuple[float | None, ...]  #: NDCG@100 after each epoch; None where nothing was held out
    best: int  #: the number of the epoch that was kept, from 0
    most: int  #: `towers.epochs`


class RankerOutcome(Settings):
    """How the ranker came out. left_out: why the bundle does without it, None where it has one."""

    left_out: str | None
    held_out: Difference | None = None  #: NDCG@10 less the retrieval order's, on users held out
    lists: int = 0  #: that it was trained on
    missed: int = 0  #: positives of its window that were not retrieved
    positives: int = 0  #: positives that were
    trees: int = 0  #: kept


class Origin(Settings):
    """How towers and ranker of a bundle were trained; None where an earlier version did not record it."""

    training: Training | None = None
    ranker: RankerOutcome | None = None


class Advice(Settings):
    """One thing to do about a bundle.

    about: the part of the funnel. key: of the config, e.g. "towers.epochs". gain: in NDCG@k of the list that
    is shown; None where it is unknown. measured: whether this report measured the gain. Else it is an upper
    bound: the gain if this part alone were perfect and all others stayed the same.
    """

    about: About
    key: str
    gain: float | None
    measured: bool
    sentence: str


class StageShare(Settings):
    """The share of the targets that is left after a stage.

    share: mean recall of its whole list, over requests. lost: the share of the stage before, less this one.
    """

    stage: str
    share: float
    lost: float


def only_source(source: str) -> str:
    """How to configure a bundle with this source alone, in words."""
    return f'`sources = ["{source}"]` under [retrieve] serves that source alone'


def gain(of: Advice) -> str:
    """The gain in words, to follow the key: " (+.0123)", " (at most +.2)"; empty where it is not known."""
    if of.gain is None:
        return ""
    return f" ({'' if of.measured else 'at most '}{short(of.gain, sign=True)})"
