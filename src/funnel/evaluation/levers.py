"""What to do next about a bundle, read off its report: one list, the largest gain first.

Where a part is better than the whole, that was measured and comes first. What a stage could win is reckoned
by the product of shares: if this stage lost nothing and all others stayed as they are, the list that is shown
would hold as many times more as the stage lost.
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

#: The source of `[retrieve]` that answers as a row of the report does, as far as one may.
_SOURCES = {
    "popular": "popular",
    "recent-popular": "popular",
    "co-visitation": "covisitation",
    "exact": "towers",
}

#: A ranker that learned from this share of `ranker.lists` would take more.
_NEARLY = 0.9

#: By the key: what gives the ranker more to learn from.
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
    """Everything that the report says to do: what was measured, then what a step could win at most; the
    largest gain first."""
    found = [*_parts(report), *_beside(report), *_rerank(report), *_order(report), *shortlist(report)]
    found += [*retrieve(report), *search(report), *training(report)]
    return tuple(sorted(found, key=lambda one: (not one.measured, one.gain is None, -(one.gain or 0.0))))


def _parts(report: Report) -> Iterator[Advice]:
    """Where a source or a baseline is better than the list that is ranked or shown."""
    alone = {row.name for row in report.rows if row.kind in ("baseline", "exact")}
    whole = {row.name for row in stages(report)[1:]}
    worst: dict[str, Any] = {}
    for one in report.comparisons:
        if one.difference.worse and one.a in whole and one.b in alone:
            worst.setdefault(one.b, one)
    for name, one in worst.items():
        said = f"{one.sentence}: more than one source, or the ranker, does harm here. {_alone(report, name)}"
        key = "ranker.lists" if name == "as shown" else "retrieve.sources"
        yield _measured("part_better", key, -one.difference.mean, said)


def _alone(report: Report, name: str) -> str:
    """How to serve what is better alone."""
    if name == "as shown":
        return "Until it does not, go on with the order that people were shown"
    source = _SOURCES.get(name, name)
    held = source in (option(report, "retrieve", "sources") or ())
    gate = "the gate `baselines` holds this" if held else "it is none of them now"
    return f"{only_source(source)}; {gate}"


def _beside(report: Report) -> Iterator[Advice]:
    """A baseline that orders better than all sources together, and is none of them."""
    first, sources = stages(report)[0].name, option(report, "retrieve", "sources")
    for one in report.comparisons:
        source = _SOURCES.get(one.b)
        if one.a == first and one.difference.worse and source and source not in (sources or (source,)):
            said = f"{one.sentence}; `{source}` is none of the `sources` under [retrieve]: name it there"
            yield at_most("retrieve", "retrieve.sources", -one.difference.mean, said)


def _rerank(report: Report) -> Iterator[Advice]:
    """Where what is behind the ranker costs."""
    last = report.rows[-1].name
    for one in report.comparisons:
        if one.a == last and one.b == "rank" and one.difference.worse:
            more = "that is what diversity costs; `trade_off = 1.0` under [rerank] keeps the ranker's order"
            said = f"{one.sentence}: {more}"
            yield _measured("rerank", "rerank.trade_off", -one.difference.mean, said)


def _order(report: Report) -> Iterator[Advice]:
    """What is on the shortlist and not on top of it, and what the ranker lacks."""
    shares = {one.stage: one.share for one in kept(report)[:-1]}
    gain = shares.get("filter", next(iter(shares.values()), 0.0)) - final(report)
    if gain <= 0:
        return
    if _without_ranker(report):
        yield at_most("ranker", _ranker_key(report), gain, _left_out(report))
        return
    said = (
        f"a perfect order of the shortlist would reach {short(final(report) + gain, digits=3)} on "
        f"{label(f'ndcg@{report.k}')}, and this one reaches {short(final(report), digits=3)}"
    )
    yield at_most("order", _ranker_key(report), gain, f"{said}. {_MORE[_ranker_key(report)]}")


def _without_ranker(report: Report) -> bool:
    ranker = report.origin.ranker
    if ranker is not None:
        return ranker.left_out is not None
    return "rank" not in [row.name for row in stages(report)]


def _ranker_key(report: Report) -> str:
    """The key that gives the ranker more to learn from."""
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
    """Why there is no ranker, and what would give one a chance."""
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
