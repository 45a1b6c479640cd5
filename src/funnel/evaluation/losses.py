"""What each stage loses of the targets, and advice about those that never reach the ranker."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from funnel.evaluation.advice import About, Advice, StageShare
from funnel.settings import LONGEST_LIST

if TYPE_CHECKING:
    from funnel.evaluation.report import Report
    from funnel.evaluation.rows import Row

#: Recall counts as still growing where it grew by more than this share from half the depth to the whole.
_RISING = 0.05

#: Advice is given where approximate search finds less than this share of what exact search finds.
_SEARCH_GOAL = 0.95

#: No advice is given about a stage that loses less than this share of what it was given.
_SMALL = 0.01


def kept(report: Report) -> tuple[StageShare, ...]:
    """The share of the targets that is left after each stage: the mean recall over requests, never rising."""
    shares, before = [], 1.0
    for row in stages(report):
        share = min(row.recall.mean, before)
        shares.append(StageShare(stage=row.name, share=share, lost=before - share))
        before = share
    return tuple(shares)


def shortlist(report: Report) -> Iterator[Advice]:
    """Advice where targets were retrieved, but cut off before the ranker."""
    for before, after in zip(kept(report), kept(report)[1:], strict=False):
        if after.stage == "filter" and after.share > 0 and after.lost > _SMALL * before.share:
            sentence = (
                f"{after.lost / before.share:.1%} of what the sources find is cut off before the ranker: a "
                f"larger `k` under [retrieve] makes the shortlist longer"
            )
            gain = final(report) * (before.share / after.share - 1)
            yield at_most("shortlist", "retrieve.k", gain, sentence)


def retrieve(report: Report) -> Iterator[Advice]:
    """Advice where no source finds some of the targets."""
    first = kept(report)[0]
    if not 0 < first.share < 1 - _SMALL:
        return
    key, what = _retrieve_more(report)
    sentence = f"the sources find {first.share:.1%} of the targets: {what}"
    yield at_most("retrieve", key, final(report) * (1 / first.share - 1), sentence)


def _retrieve_more(report: Report) -> tuple[str, str]:
    """The key of the config that would find more targets, and the reason in words."""
    row, k = stages(report)[0], option(report, "retrieve", "k")
    depth = max(row.curve)
    half = max((share for at, share in row.curve.items() if at <= depth / 2), default=0.0)
    rise = row.curve[depth] / half - 1 if half else 0.0
    if k is not None and rise > _RISING and k < min(LONGEST_LIST, report.items):
        return (
            "retrieve.k",
            f"twice as deep found {rise:.0%} more, so a larger `k` under [retrieve] finds more",
        )
    sources = option(report, "retrieve", "sources") or ()
    if absent := [name for name in ("towers", "covisitation", "popular") if name not in sources]:
        return "retrieve.sources", f"`{absent[0]}` is none of the `sources` under [retrieve]"
    return "towers.d", "going deeper finds little more; larger towers (`d`), more events or more columns do"


def search(report: Report) -> Iterator[Advice]:
    """Advice where approximate search loses much of what exact search finds."""
    deepest = max(report.search_recall or {0: 0})
    share = (report.search_recall or {}).get(deepest, 1.0)
    if 0 < share < _SEARCH_GOAL:
        sentence = (
            f"approximate search finds {share:.1%} of the first {deepest} that exact search finds: a higher "
            "`recall` under [index] costs milliseconds"
        )
        yield at_most("search", "index.recall", final(report) * (1 / share - 1), sentence)


def at_most(about: About, key: str, gain: float, sentence: str) -> Advice:
    """Advice whose gain is an upper bound and was not measured."""
    return Advice(about=about, key=key, gain=gain, measured=False, sentence=sentence)


def stages(report: Report) -> list[Row]:
    """The rows of the funnel's own stages, in walking order."""
    return [row for row in report.rows if row.kind == "stage"]


def final(report: Report) -> float:
    """NDCG@k of the list that is shown."""
    return report.rows[-1].metrics[f"ndcg@{report.k}"].mean


def option(report: Report, section: str, key: str) -> Any:
    """A value of the config that the bundle was built with; None where the report does not have it."""
    values = report.config.get(section)
    return values.get(key) if isinstance(values, dict) else None
