"""Answers as JSON, without the walk over every value that `Answer.to_dict` takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from pydantic_core import PydanticSerializationError, to_json

from funnel.serving.response import Answer, Recommendation
from funnel.values.plain import as_json


def written(value: Any) -> bytes:
    """Plain values as JSON."""
    return as_json(value, None).encode()


def answer_json(answer: Answer) -> bytes:
    """What `as_json(answer.to_dict())` is: the same values, several times as fast."""
    try:
        return to_json(_fields(answer), inf_nan_mode="null", timedelta_mode="float")
    except PydanticSerializationError:  # such as half a character, or a type that only `plain` knows
        return written(answer.to_dict())


def answers_json(answers: Sequence[Answer]) -> bytes:
    """`{"answers": [...]}`."""
    return b'{"answers":[' + b",".join(map(answer_json, answers)) + b"]}"


def _fields(answer: Answer) -> dict[str, Any]:
    drawn = answer.policy is not None
    return {
        "id": answer.id,
        "user_id": answer.user_id,
        "version": answer.version,
        "state": answer.state,
        "reasons": answer.reasons,
        "milliseconds": {name: round(ms, 3) for name, ms in answer.milliseconds.items()},
        **({"policy": asdict(answer.policy)} if answer.policy is not None else {}),
        **({"arms": answer.arms} if answer.arms else {}),
        "items": [_item(item, drawn=drawn) for item in answer.items],
    }


def _item(item: Recommendation, *, drawn: bool) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "item_id": item.item_id,
        "score": item.score,
        "probabilities": item.probabilities,
        "sources": item.sources,
        "reasons": item.reasons,
        "attributes": item.attributes,
    }
    if item.value:
        fields["value"] = item.value
    if drawn:
        fields["propensity"] = item.propensity
    return fields
