"""Advice about a bundle, derived from its report: one list, the largest gain first.

Where a source or a baseline alone is better than the whole funnel, that was measured and comes first. What a
stage could win is an upper bound: recall behind a stage is a product of the shares that the stages keep, so a
stage that kept everything would raise the final figure by 1 / its own share, if all others stayed the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from funnel.evaluation.advice import About, Advice, only_source
from funnel.evaluation.compare import label, short
from funnel.evaluation.learning import training
from funnel.evaluation.losses import at_most, final, kept, option, retrieve, search, shortlist, stages

if TYPE_CHECKING:
    from funnel.evaluation.report import Report

#: By row of the report, the source of `[retrieve]` that comes nearest to it.
_SOURCES = {
    "popular": "popular",
    "recent-popular": "popular",
    "co-visitation": "covisitation",
    "exact": "towers",
}

#: A ranker that got this share of `ranker.lists` is taken to be held back by that limit.
_NEARLY = 0.9

#: By key of the config, what to write about it where the ranker needs more to learn from.
_MORE = {
    "ranker.trees": "The ranker grew all the trees that it may, and was still getting better: give it "
    "more `trees`",
    "ranker.lists": "The ranker learned from as many lists as it may: give it more `lists` under [ranker]",
    "split.ranker": "An earlier `ranker` under [split] gives it more lists to learn from, more columns of "
    "items and users more to see",
    "features.also": "More columns of items and users, or features of your own (`also` under [features]), "
    "give it more to see",
}


def advise(report: Report) -> tuple[Advice, ...]:
    """All advice about a report: first what was measured, then what a stage could win at most, each part with
    the largest gain first.

        for advice in advise(report):
            print(advice.key, advice.gain, advice.sentence)
    """
    advices = [*_parts(report), *_beside(report), *_rerank(report), *_order(report), *shortlist(report)]
    advices += [*retrieve(report), *search(report), *training(report)]
    return tuple(sorted(advices, key=_by_gain))


def _by_gain(advice: Advice) -> tuple[bool, bool, float]:
    """What was measured first, what has no figure last, else the largest gain first."""
    return not advice.measured, advice.gain is None, -(advice.gain or 0.0)


def _parts(report: Report) -> Iterator[Advice]:
    """Advice where one source or baseline alone is better than the ranked or the shown list."""
    alone = {row.name for row in report.rows if row.kind in ("baseline", "exact")}
    whole = {row.name for row in stages(report)[1:]}
    worst: dict[str, Any] = {}
    for comparison in report.comparisons:
        if comparison.difference.worse and comparison.a in whole and comparison.b in alone:
            worst.setdefault(comparison.b, comparison)
    for name, comparison in worst.items():
        why = "more than one source, or the ranker, does harm here"
        sentence = f"{comparison.sentence}: {why}. {_alone(report, name)}"
        key = "ranker.lists" if name == "as shown" else "retrieve.sources"
        yield _measured("part_better", key, -comparison.difference.mean, sentence)


def _alone(report: Report, name: str) -> str:
    """How to serve the row `name` alone, in words."""
    if name == "as shown":
        return "Until it does not, go on with the order that people were shown"
    source = _SOURCES.get(name, name)
    held = source in (option(report, "retrieve", "sources") or ())
    gate = "the gate `baselines` holds this" if held else "it is none of them now"
    return f"{only_source(source)}; {gate}"


def _beside(report: Report) -> Iterator[Advice]:
    """Advice where a baseline that is not among the sources is better than all sources together."""
    first, sources = stages(report)[0].name, option(report, "retrieve", "sources")
    for comparison in report.comparisons:
        source = _SOURCES.get(comparison.b)
        if (
            comparison.a == first
            and comparison.difference.worse
            and source
            and source not in (sources or (source,))
        ):
            sentence = (
                f"{comparison.sentence}; `{source}` is none of the `sources` under [retrieve]: name it there"
            )
            yield at_most("retrieve", "retrieve.sources", -comparison.difference.mean, sentence)


def _rerank(report: Report) -> Iterator[Advice]:
    """Advice where the stages after the ranker make its list worse."""
    last = report.rows[-1].name
    for comparison in report.comparisons:
        if comparison.a == last and comparison.b == "rank" and comparison.difference.worse:
            more = "that is what diversity costs; `trade_off = 1.0` under [rerank] keeps the ranker's order"
            sentence = f"{comparison.sentence}: {more}"
            yield _measured("rerank", "rerank.trade_off", -comparison.difference.mean, sentence)


def _order(report: Report) -> Iterator[Advice]:
    """Advice where targets are on the shortlist, but not at its top."""
    shares = {stage.stage: stage.share for stage in kept(report)[:-1]}
    gain = shares.get("filter", next(iter(shares.values()), 0.0)) - final(report)
    if gain <= 0:
        return
    if _without_ranker(report):
        yield at_most("ranker", _ranker_key(report), gain, _left_out(report))
        return
    sentence = (
        f"a perfect order of the shortlist would reach {short(final(report) + gain, digits=3)} on "
        f"{label(f'ndcg@{report.k}')}, and this one reaches {short(final(report), digits=3)}"
    )
    yield at_most("order", _ranker_key(report), gain, f"{sentence}. {_MORE[_ranker_key(report)]}")


def _without_ranker(report: Report) -> bool:
    ranker = report.origin.ranker
    if ranker is not None:
        return ranker.left_out is not None
    return "rank" not in [row.name for row in stages(report)]


def _ranker_key(report: Report) -> str:
    """The key of the config that gives the ranker more to learn from."""
    ranker, window = report.origin.ranker, "split.ranker"
    if option(report, "split", "kind") not in (None, "time"):
        window = "features.also"  # the window is what the data say
    if ranker is None or _without_ranker(report):
        return window
    if ranker.trees and ranker.trees == option(report, "ranker", "trees"):
        return "ranker.trees"
    most = option(report, "ranker", "lists")
    return "ranker.lists" if most and ranker.lists >= _NEARLY * most else window


def _left_out(report: Report) -> str:
    """Why there is no ranker, and what would help one, in words."""
    more, ranker = _MORE[_ranker_key(report)], report.origin.ranker
    if ranker is None:
        return f"the ranker was left out, and this bundle does not say why. {more}"
    why = str(ranker.left_out)
    if (verdict := ranker.held_out) is not None:
        bounds = f"[{short(verdict.lo)}, {short(verdict.hi)}]"
        why += f" ({short(verdict.mean, sign=True)} {bounds} on users of its own window)"
    seen = ranker.positives + ranker.missed
    share = f"; of {seen:,} positives there, {ranker.missed:,} were not retrieved" if seen else ""
    return f"the ranker was left out: {why}{share}. {more}"


def _measured(about: About, key: str, gain: float, sentence: str) -> Advice:
    return Advice(about=about, key=key, gain=gain, measured=True, sentence=sentence)
