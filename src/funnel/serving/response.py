"""What a caller gets back, and why each item is in it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd

from funnel.values.notebook import as_html
from funnel.values.plain import plain

if TYPE_CHECKING:  # a client does without the arrays of that room, and what compiles code for them
    from funnel.types import Policy

#: Reason codes of a whole answer.
UNKNOWN_USER = "unknown_user"
UNKNOWN_ITEMS_IN_HISTORY = "unknown_items_in_history"
EMPTY_HISTORY = "empty_history"
ALL_FILTERED = "all_filtered"
FEWER_THAN_K = "fewer_than_k"
#: Of a list that was given: it is empty; it holds an item more than once, which counts once; and, followed by
#: what was given, an item that the catalogue does not have, or no longer.
NO_ITEMS = "no_items"
DUPLICATE_ITEMS = "duplicate_items"
UNKNOWN_ITEM, DELETED_ITEM = "unknown_item:", "deleted_item:"
RETRIEVAL_ORDER = "retrieval_order_kept"
#: Followed by the name of what the filter compares items with, and the request does not say.
MISSING_CONTEXT = "missing_context:"
#: Of an item: its value is not known, or it is below a floor; it stands behind those that are not. Of a whole
#: answer: no expected value was used, since there are no probabilities.
NO_VALUE = "no_value"
BELOW_FLOOR = "below_floor"
#: The log of changes cannot be read: the answer goes by what was known before.
STATE_UNREADABLE = "state_unreadable"
#: Followed by the name of a stage that a deadline left out.
SKIPPED = "skipped:"
#: Followed by the name of a rule that could not hold.
GAVE_WAY = "gave_way:"
#: The search for a list that keeps to the rules better was ended at its limit.
RULES_NOT_PROVEN = "rules_not_proven"
#: Of an item, followed by the name of a rule that put it where it is.
RULE = "rule:"


@dataclass(frozen=True, slots=True)
class Recommendation:
    """One item of an answer.

    score: of the last stage that scored. sources: the rank (from 1) in each source that found the item.
    reasons: `rule:<name>`, `similar_to:<item id>`, `matches_history`, `matches_profile`, `popular`.
    attributes: the item's columns. probabilities: by head, that it happens, see docs/probabilities.md; none
    where the ranker did not score or its bundle has no calibration. value: what it was ordered by, `expected`
    (NaN where that is not known), and by name what the expression of `[rank]` read; empty without one.
    propensity: the chance that its position had of this item, given the items above; 1 where nothing was
    drawn.
    """

    item_id: Any
    score: float
    sources: Mapping[str, int]
    reasons: tuple[str, ...]
    attributes: Mapping[str, Any]
    probabilities: Mapping[str, float] = field(default_factory=dict)
    value: Mapping[str, float] = field(default_factory=dict)
    propensity: float = 1.0


def new_id() -> str:
    """24 hexadecimal figures that no other answer of any process has: 96 bits of the system's chance, which a
    fork does not repeat."""
    return os.urandom(12).hex()


@dataclass(frozen=True, slots=True)
class Answer:
    """The items for one request, best first.

    version: of the bundle that answered. reasons: codes for what was missing; empty when nothing was.
    milliseconds: time spent in each stage. state: how far the log of changes and events is in it at least,
    as "changes.events"; empty where no log was read. id: of this answer alone, which events may name.
    policy: by which its items were drawn, see docs/explore.md; None where nothing was drawn. arms: of the
    user, by experiment, see docs/experiments.md; empty where they are in none. weights: by experiment whose
    shares move, the number of the period and the share that the user's arm has in it. teams: of a list of two
    arms, for each position which of them put its item in: 0 the control, 1 the other, -1 both; else empty.
    """

    user_id: Any
    items: tuple[Recommendation, ...]
    version: str
    reasons: tuple[str, ...]
    milliseconds: Mapping[str, float]
    state: str = ""
    id: str = field(default_factory=new_id, compare=False)
    policy: Policy | None = None
    arms: Mapping[str, str] = field(default_factory=dict)
    weights: Mapping[str, tuple[int, float]] = field(default_factory=dict)
    teams: tuple[int, ...] = ()

    def to_frame(self) -> pd.DataFrame:
        """A row an item, best first, by its position from 1: item_id, score, reasons, `sources.NAME` for its
        rank in each source that found any of them, `probabilities.NAME` for those of each head, and
        `attributes.NAME` for its columns; `value.NAME` for what it was ordered by."""
        records = [
            {
                "item_id": item.item_id,
                "score": item.score,
                "reasons": list(item.reasons),
                **{f"sources.{name}": rank for name, rank in item.sources.items()},
                **{f"probabilities.{name}": value for name, value in item.probabilities.items()},
                **{f"value.{name}": value for name, value in item.value.items()},
                **{f"attributes.{name}": value for name, value in item.attributes.items()},
            }
            for item in self.items
        ]
        always = None if records else ["item_id", "score", "reasons"]
        positions = pd.RangeIndex(1, len(records) + 1, name="position")
        frame = pd.DataFrame(records, index=positions, columns=always)
        ranks = [name for name in frame if str(name).startswith("sources.")]
        return frame.astype(dict.fromkeys(ranks, "Int64"))

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        missing = f"; {', '.join(self.reasons)}" if self.reasons else ""
        return as_html(self.to_frame(), f"user {self.user_id}, {self.version}{missing}")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for strict JSON: what is not finite is None; see `funnel.values.plain`."""
        return {
            "id": self.id,
            "user_id": plain(self.user_id),
            "version": self.version,
            "state": self.state,
            "reasons": list(self.reasons),
            "milliseconds": {name: round(ms, 3) for name, ms in self.milliseconds.items()},
            **({} if self.policy is None else {"policy": asdict(self.policy)}),
            **({"arms": dict(self.arms)} if self.arms else {}),
            "items": [
                {
                    "item_id": plain(item.item_id),
                    "score": plain(item.score),
                    "probabilities": plain(item.probabilities),
                    **({"value": plain(item.value)} if item.value else {}),
                    **({} if self.policy is None else {"propensity": item.propensity}),
                    "sources": dict(item.sources),
                    "reasons": plain(item.reasons),
                    "attributes": plain(item.attributes),
                }
                for item in self.items
            ],
        }
