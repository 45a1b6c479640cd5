"""What a report is advised by and what it advises: values that are kept in report.json."""

from __future__ import annotations

from typing import Literal

from funnel.evaluation.bootstrap import Difference
from funnel.evaluation.compare import short
from funnel.settings import Settings

About = Literal["part_better", "ranker", "order", "retrieve", "shortlist", "search", "training", "rerank"]


class Training(Settings):
    """How the training of the towers went, as advice reads it."""

    validation: tuple[float | None, ...]  #: NDCG@100 after each epoch; None where nothing was held out
    best: int  #: the number of the epoch that was kept, from 0
    most: int  #: `towers.epochs`


class RankerOutcome(Settings):
    """What came of the ranker. left_out: why the bundle is without it, None where it ranks."""

    left_out: str | None
    held_out: Difference | None = None  #: NDCG@10 less the retrieval order's, on users it was not grown on
    lists: int = 0  #: that it was grown on
    missed: int = 0  #: positives of its window that were not retrieved
    positives: int = 0  #: positives that were
    trees: int = 0  #: kept


class Origin(Settings):
    """How a bundle came about, as far as it is known: a bundle of an earlier funnel does not say."""

    training: Training | None = None
    ranker: RankerOutcome | None = None


class Advice(Settings):
    """One thing to do about a bundle.

    about: what it is about. key: of the config, e.g. "towers.epochs". gain: of the NDCG@k of the list that
    is shown; None where nothing says how much. measured: the gain was seen in this report; else it is what
    there would be if this step alone were perfect, or went on as it did, and all others stayed as they are.
    """

    about: About
    key: str
    gain: float | None
    measured: bool
    sentence: str


class StageShare(Settings):
    """Of all that people went on to take, the share that is still there behind a stage.

    share: mean recall of its whole list, over requests. lost: of the share before.
    """

    stage: str
    share: float
    lost: float


def only_source(source: str) -> str:
    """How to serve one source, in words."""
    return f'`sources = ["{source}"]` under [retrieve] serves that source alone'


def gain(of: Advice) -> str:
    """The gain in words, for behind the key: " (+.0123)", " (at most +.2)"; empty where it is not known."""
    if of.gain is None:
        return ""
    return f" ({'' if of.measured else 'at most '}{short(of.gain, sign=True)})"
