"""Comparisons of two rows of a report: the paired difference, and a sentence about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from funnel.evaluation.bootstrap import Difference
from funnel.evaluation.rows import Row
from funnel.settings import Settings
from funnel.values.notebook import as_html

_LABELS = {"ndcg": "NDCG", "recall": "Recall", "mrr": "MRR", "map": "MAP", "hit_rate": "Hit rate"}


class Comparison(Settings):
    """Row a compared with row b, request by request, on one metric."""

    a: str
    b: str
    metric: str
    difference: Difference
    sentence: str

    def to_record(self) -> dict[str, Any]:
        """As a flat record: a, b, metric, mean, lo, hi, better, worse."""
        difference = self.difference
        bounds = {"mean": difference.mean, "lo": difference.lo, "hi": difference.hi}
        names = {"a": self.a, "b": self.b, "metric": self.metric}
        return {**names, **bounds, "better": difference.better, "worse": difference.worse}

    def to_frame(self) -> pd.DataFrame:
        """One row: a, b, metric, the mean of a − b with `lo` and `hi`, whether a is better or worse."""
        return pd.DataFrame([self.to_record()])

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return as_html(self.to_frame(), self.sentence)


def compare(a: str, b: str, metric: str, difference: Difference) -> Comparison:
    """The comparison, with its sentence."""
    verdict = "better than" if difference.better else "worse than" if difference.worse else "not better than"
    if difference.mean == difference.lo == difference.hi == 0:
        verdict = "the same as"
    bounds = f"[{short(difference.lo)}, {short(difference.hi)}]"
    sentence = f"{a} is {verdict} {b} on {label(metric)}: {short(difference.mean, sign=True)} {bounds}"
    return Comparison(a=a, b=b, metric=metric, difference=difference, sentence=sentence)


def pairs(rows: Sequence[Row], metric: str, ranked: str = "rank") -> list[tuple[str, str]]:
    """The pairs of rows that a report compares, by name: each (a, b) asks whether a is better than b.

    They are the ranked list against the retrieval order and against each baseline, the shown list against
    the ranked one and against exact search, and the retrieval order against the best baseline.
    ranked: the name of the ranking stage; the last stage where there is none of that name.
    """
    means: Mapping[str, float] = {row.name: row.metrics[metric].mean for row in rows}
    stages = [row.name for row in rows if row.kind == "stage"]
    baselines = [row.name for row in rows if row.kind == "baseline"]
    first, final = stages[0], stages[-1]
    ranked = ranked if ranked in stages else final
    wanted = [(ranked, first), (final, ranked)]
    if baselines:
        best = max(baselines, key=lambda name: means[name])
        wanted[1:1] = [(ranked, name) for name in baselines]
        wanted.append((first, best))
    wanted += [(final, row.name) for row in rows if row.kind == "exact"]
    return [(a, b) for a, b in dict.fromkeys(wanted) if a != b]


def label(metric: str) -> str:
    """ "ndcg@10" -> "NDCG@10"."""
    name, _, k = metric.partition("@")
    return f"{_LABELS.get(name, name)}@{k}"


def short(value: float, *, sign: bool = False, digits: int = 4) -> str:
    """A figure below one as the field prints it: .0649, −.0012; the minus is a minus sign."""
    text = f"{abs(value):.{digits}f}"
    text = text[1:] if text.startswith("0.") else text
    negative = value < 0 and float(text) != 0
    return ("\N{MINUS SIGN}" if negative else "+" if sign else "") + text
