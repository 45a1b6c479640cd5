"""How much of what people went on to take each stage loses, and what to do about what is not ranked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from funnel.evaluation.advice import About, Advice, StageShare
from funnel.settings import LONGEST_LIST

if TYPE_CHECKING:
    from funnel.evaluation.report import Report
    from funnel.evaluation.rows import Row

#: Recall that grew by so much from half the depth to the whole is still growing.
_RISING = 0.05

#: Search that finds less of what exact search does is worth a word.
_FOUND = 0.95

#: A stage that loses less than this share of what it was given is none to work on.
_SMALL = 0.01


def kept(report: Report) -> tuple[StageShare, ...]:
    """How much of what people went on to take is left behind each stage, by mean recall over requests."""
    said, before = [], 1.0
    for row in stages(report):
        share = min(row.recall.mean, before)
        said.append(StageShare(stage=row.name, share=share, lost=before - share))
        before = share
    return tuple(said)


def shortlist(report: Report) -> Iterator[Advice]:
    """What was retrieved and is cut off before it is ranked."""
    for before, one in zip(kept(report), kept(report)[1:], strict=False):
        if one.stage == "filter" and one.share > 0 and one.lost > _SMALL * before.share:
            said = (
                f"{one.lost / before.share:.1%} of what the sources find is cut off before the ranker: a "
                f"larger `k` under [retrieve] makes the shortlist longer"
            )
            gain = final(report) * (before.share / one.share - 1)
            yield at_most("shortlist", "retrieve.k", gain, said)


def retrieve(report: Report) -> Iterator[Advice]:
    """What no source finds."""
    first = kept(report)[0]
    if not 0 < first.share < 1 - _SMALL:
        return
    key, what = _retrieve_more(report)
    said = f"the sources find {first.share:.1%} of what people went on to take: {what}"
    yield at_most("retrieve", key, final(report) * (1 / first.share - 1), said)


def _retrieve_more(report: Report) -> tuple[str, str]:
    """The key that finds more, and why that one."""
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
    """What approximate search loses."""
    deepest = max(report.search_recall or {0: 0})
    share = (report.search_recall or {}).get(deepest, 1.0)
    if 0 < share < _FOUND:
        said = (
            f"approximate search finds {share:.1%} of the first {deepest} that exact search finds: a higher "
            "`recall` under [index] costs milliseconds"
        )
        yield at_most("search", "index.recall", final(report) * (1 / share - 1), said)


def at_most(about: About, key: str, gain: float, sentence: str) -> Advice:
    return Advice(about=about, key=key, gain=gain, measured=False, sentence=sentence)


def stages(report: Report) -> list[Row]:
    return [row for row in report.rows if row.kind == "stage"]


def final(report: Report) -> float:
    return report.rows[-1].metrics[f"ndcg@{report.k}"].mean


def option(report: Report, section: str, key: str) -> Any:
    """A value of the config that the report was made by; None where it does not say."""
    found = report.config.get(section)
    return found.get(key) if isinstance(found, dict) else None
