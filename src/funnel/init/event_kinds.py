"""What the kinds of events in a file are for: how much each counts in a history, which are to be found.

A purchase says more than a view, but purchases are few. All positive kinds make a history, deeper ones
counting more. To be found are the deepest kinds of which there are enough: starting with the deepest,
shallower ones are added until there is enough to learn from; where there never is, all positive ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from funnel.init import names
from funnel.init.findings import Conclusion
from funnel.init.keys import Keyed
from funnel.values.words import words

#: Enough are so many events that count, and so many of them a user, as a mean over all users of the log.
ENOUGH_EVENTS = 10_000
ENOUGH_A_USER = 5.0

_MOST_KINDS = 30
#: Words for kinds of events, from the shallowest to the deepest.
_DEPTHS = (
    """
    view views viewed pageview page_view detail visit read open opened play watch watched seen
    show_detail click clicked clicks pv select select_item view_item product_view preview listen
    stream klick ansicht
    """,
    """
    save saved like liked love wish wishlist favorite favourite fav bookmark share shared follow
    rate rated comment add_to_wishlist add_to_list complete completed finish
    """,
    """
    cart basket add_to_cart addtocart add_cart cart_add bag add_to_basket checkout
    begin_checkout warenkorb
    """,
    """
    buy bought purchase purchased order ordered transaction sale sold book booked conversion
    converted pay paid payment subscribe rent kauf bestellung checkout_complete install contact
    apply
    """,
)
_RANKS = {word: rank for rank, kinds in enumerate(_DEPTHS) for word in kinds.split()}
#: Kinds that say no, and take something back.
_NEGATIVE_WORDS = """
    cancel canceled cancelled delete deleted dislike disliked hide hidden refund refunded remove removed
    report return returned skip skipped unfollow unlike unsubscribe
"""
#: Kinds that say neither: what was only shown, and what no item has a part in.
_NEITHER_WORDS = """
    error exposure hover impression impressions login logout scroll served show shown
"""
_NEGATIVE = frozenset(_NEGATIVE_WORDS.split())
_NO = _NEGATIVE | frozenset(_NEITHER_WORDS.split())


@dataclass(frozen=True)
class KindsInFile:
    """The kinds in a column of the file of events, as `funnel.data.EventsConfig` has them. targets: empty
    where all of the history are. bought: the kinds that own an item."""

    column: str
    history: dict[str, float]
    targets: tuple[str, ...]
    negatives: tuple[str, ...]
    ignore: tuple[str, ...]
    bought: tuple[str, ...]
    finding: Conclusion


def find_kinds(keyed: Keyed, keys: dict[str, str]) -> KindsInFile | None:
    """The kinds of events of those in the sample that have all keys; None where no column says them."""
    frame = keyed.sample.frame.dropna(subset=list(keys.values()))  # the others are left out
    name = _column(keyed, frame, keys)
    if name is None:
        return None
    kinds = words(frame[name], name)
    if kinds.isna().any():
        return None
    counts = kinds.value_counts() * (keyed.sample.rows / max(len(keyed.sample.frame), 1))
    users = frame[keys["user_id"]].nunique()
    a_user = kinds.value_counts() / max(users, 1)
    positive = [kind for kind in counts.index if not _says_no(kind)]
    chosen = _enough(positive, counts, a_user)
    read = positive or list(counts.index)
    left = [kind for kind in counts.index if kind not in read]
    return KindsInFile(
        column=name,
        history={kind: float(1 + max(_rank(kind) or 0, 0)) for kind in read},
        targets=tuple(chosen) if len(chosen) < len(read) else (),
        negatives=tuple(kind for kind in left if _NEGATIVE & set(names.words(kind))),
        ignore=tuple(kind for kind in left if not _NEGATIVE & set(names.words(kind))),
        bought=tuple(kind for kind in read if _rank(kind) == len(_DEPTHS) - 1),
        finding=_finding(keyed, name, counts, chosen, a_user, positive),
    )


def _finding(
    keyed: Keyed, name: str, counts: pd.Series, chosen: list[str], a_user: pd.Series, positive: list[str]
) -> Conclusion:
    counted = ", ".join(f"{kind} {counts[kind]:,.0f}" for kind in counts.index)
    most = "all of them" if len(chosen) == len(counts) else "the deepest that there is enough of"
    estimated = "" if keyed.sample.whole else " (estimated, users by what was read)"
    because = (
        f"to find: {most}: {counted}{estimated}, {a_user[chosen].sum():.1f} a user; "
        f"enough is {ENOUGH_EVENTS:,} and {ENOUGH_A_USER:g} a user"
    )
    return Conclusion(
        where=f"events.{name}",
        what=f"kinds of events; {', '.join(chosen)} to be found",
        because=because,
        sure="likely" if _known(positive) else "unsure",
    )


def _column(keyed: Keyed, frame: pd.DataFrame, keys: dict[str, str]) -> str | None:
    for name in keyed.sample.names:
        if name in keys.values() or pd.api.types.is_float_dtype(frame[name].dtype):
            continue
        present = frame[name].dropna()
        if not len(present) or not isinstance(present.iloc[0], str):
            continue
        kinds = set(present.unique()[: _MOST_KINDS + 1])
        if 2 <= len(kinds) <= _MOST_KINDS and (_named(name) or _known(kinds)):
            if not _known(kinds) and all(kind.replace(".", "").isdigit() for kind in kinds):
                continue
            return name
    return None


def _named(name: str) -> bool:
    return "_".join(names.words(name)) in names.EXACT["kind"] | {"event_type", "event_name", "action_type"}


def _known(kinds: set[str] | list[str]) -> bool:
    """Whether at least half of the kinds are words that are known."""
    return sum(_rank(kind) is not None or _says_no(kind) for kind in kinds) * 2 >= len(kinds)


def _rank(kind: str) -> int | None:
    parts = names.words(kind)
    ranks = [_RANKS[kind] for kind in ("_".join(parts), *parts) if kind in _RANKS]
    return max(ranks, default=None)


def _says_no(kind: str) -> bool:
    return bool(_NO & set(names.words(kind))) and "_".join(names.words(kind)) not in _RANKS


def _enough(yes: list[str], counts: pd.Series, a_user: pd.Series) -> list[str]:
    """The kinds that count. Kinds of the same depth are added together; unknown ones are deeper if rarer."""
    depth = {kind: -1 if (rank := _rank(kind)) is None else rank for kind in yes}
    if not any(rank >= 0 for rank in depth.values()):
        depth = {kind: position for position, kind in enumerate(yes)}  # the commonest first
    chosen: list[str] = []
    for rank in sorted(set(depth.values()), reverse=True):
        chosen += [kind for kind in yes if depth[kind] == rank]
        if counts[chosen].sum() >= ENOUGH_EVENTS and a_user[chosen].sum() >= ENOUGH_A_USER:
            break
    return chosen or list(counts.index)
