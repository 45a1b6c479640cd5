"""Kinds of values of bodies, and which fields a place of a body has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, GetPydanticSchema
from pydantic_core import core_schema

#: By field of a request.
RAISED = {"where": "ConfigError"} | dict.fromkeys(
    [
        "k",
        "history",
        "user",
        "exclude",
        "deadline",
        "attributes",
        "seen",
        "context",
        "user_ids",
        "rerank",
        "seed",
    ],
    "FunnelError",
)


class Body(BaseModel):
    """What a caller sends: unknown fields, NaN, and values of another type are refused.

    raised: the class of error that `Live` raises for a value that cannot be meant, by field, where it is not
    DataError.
    """

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    raised: ClassVar[dict[str, str]] = RAISED


def _whole(value: Any) -> Any:
    """7.0 as 7: in JSON they are one number."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _no_fraction(value: float) -> int:
    if not value.is_integer():
        raise ValueError
    return int(value)


def _ids() -> list[core_schema.CoreSchema | tuple[core_schema.CoreSchema, str]]:
    whole = core_schema.no_info_after_validator_function(_no_fraction, core_schema.float_schema(strict=True))
    return [core_schema.int_schema(strict=True), core_schema.str_schema(strict=True), whole]


def _id_schema(*_: Any) -> core_schema.CoreSchema:
    return core_schema.union_schema(
        _ids(),
        mode="left_to_right",
        custom_error_type="id",
        custom_error_message="An id is a whole number or a text",
    )


def _seconds_schema(*_: Any) -> core_schema.CoreSchema:
    parts = core_schema.float_schema(strict=True, allow_inf_nan=False)
    return core_schema.union_schema(
        [core_schema.int_schema(strict=True), core_schema.no_info_after_validator_function(int, parts)],
        mode="left_to_right",
        custom_error_type="seconds",
        custom_error_message="A moment is a number of seconds since 1970",
    )


def _event_schema(*_: Any) -> core_schema.CoreSchema:
    pair = core_schema.list_schema(_id_schema(), min_length=2, max_length=2)
    return core_schema.union_schema(
        [*_ids(), pair],
        mode="left_to_right",
        custom_error_type="past_event",
        custom_error_message="An entry is an item id, or a pair of one and a kind of event",
    )


_ID = [{"type": "integer"}, {"type": "string"}]
_PAIR = {"type": "array", "items": {"anyOf": _ID}, "minItems": 2, "maxItems": 2}

#: An id as callers write it.
Id = Annotated[int | str, GetPydanticSchema(_id_schema, lambda *_: {"anyOf": _ID})]

#: An entry of a history: an item id, or a pair of one and the kind of its event.
PastEvent = Annotated[
    int | str | list[int | str], GetPydanticSchema(_event_schema, lambda *_: {"anyOf": [*_ID, _PAIR]})
]

#: A moment; parts of a second are cut off, as `Live` does.
Seconds = Annotated[int, GetPydanticSchema(_seconds_schema, lambda *_: {"type": "number"})]

#: A whole number, however it is written.
Whole = Annotated[int, BeforeValidator(_whole)]


def fields_at(model: type[BaseModel], position: Sequence[str | int]) -> list[str]:
    """The names of the fields that a place of a body may have; none where it is no model's."""
    inner: type[BaseModel] | None = model
    for part in position:
        if isinstance(part, int):
            continue
        field = None if inner is None else inner.model_fields.get(part)
        inner = None if field is None else _model_in(field.annotation)
    return [] if inner is None else list(inner.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((inner for part in get_args(annotation) if (inner := _model_in(part))), None)
