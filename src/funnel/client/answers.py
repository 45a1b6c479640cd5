"""What came back, as the values of `Live`. JSON has no NaN: a score or a value that is none is null there."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from funnel.serving.erased import Erased
from funnel.serving.response import Answer, Recommendation

if TYPE_CHECKING:
    from funnel.types import Policy

#: Fields of `Answer` that are made of what is sent; the others are as they are sent, where they are.
_AS_SENT = {field.name for field in fields(Answer)} - {
    "user_id",
    "items",
    "version",
    "reasons",
    "milliseconds",
    "policy",
}


def answer(raw: Mapping[str, Any], user_id: Any) -> Answer:
    """An answer. user_id: as the caller gave it, which `Live` returns."""
    return Answer(
        user_id=user_id,
        items=tuple(recommendation(item) for item in raw["items"]),
        version=str(raw["version"]),
        reasons=tuple(map(str, raw["reasons"])),
        milliseconds={str(name): float(ms) for name, ms in raw["milliseconds"].items()},
        policy=_policy(raw.get("policy")),
        **{name: raw[name] for name in _AS_SENT if name in raw},
    )


def _policy(raw: Any) -> Policy | None:
    if raw is None:
        return None
    from funnel.types import Policy  # with the arrays of that room, which most answers do without

    return Policy(**raw)


def answers(raw: Mapping[str, Any], user_ids: Sequence[Any]) -> list[Answer]:
    """An answer a user, in their order. Raises: ValueError where there are not as many."""
    return [answer(part, user) for part, user in zip(raw["answers"], user_ids, strict=True)]


def recommendation(raw: Mapping[str, Any]) -> Recommendation:
    """One item of an answer."""
    return Recommendation(
        item_id=raw["item_id"],
        score=_number(raw["score"]),
        sources={str(name): int(rank) for name, rank in raw["sources"].items()},
        reasons=tuple(map(str, raw["reasons"])),
        attributes=dict(raw["attributes"]),
        probabilities=_numbers(raw["probabilities"]),
        value=_numbers(raw.get("value", {})),
        propensity=float(raw.get("propensity", 1.0)),
    )


def contributions(raw: Mapping[str, Any]) -> dict[str, float]:
    """What each feature adds to a score, in the order of the service."""
    return _numbers(raw["contributions"])


def erased(raw: Mapping[str, Any]) -> Erased:
    """What is left of a person."""
    return Erased(**{field.name: raw[field.name] for field in fields(Erased) if field.name in raw})


def _numbers(raw: Mapping[str, Any]) -> dict[str, float]:
    return {str(name): _number(value) for name, value in raw.items()}


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)
