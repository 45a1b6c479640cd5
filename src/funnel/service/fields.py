"""Kinds of values of bodies, and which fields a place of a body has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, GetPydanticSchema
from pydantic_core import core_schema


class Body(BaseModel):
    """What a caller sends: unknown fields, NaN, and values of another type are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


def _id_schema(*_: Any) -> core_schema.CoreSchema:
    return core_schema.union_schema(
        [core_schema.int_schema(strict=True), core_schema.str_schema(strict=True)],
        custom_error_type="id",
        custom_error_message="An id is a whole number or a text",
    )


def _event_schema(*_: Any) -> core_schema.CoreSchema:
    pair = core_schema.list_schema(_id_schema(), min_length=2, max_length=2)
    return core_schema.union_schema(
        [core_schema.int_schema(strict=True), core_schema.str_schema(strict=True), pair],
        custom_error_type="past_event",
        custom_error_message="An entry is an item id, or a pair of one and a kind of event",
    )


#: An id as callers write it.
Id = Annotated[int | str, GetPydanticSchema(_id_schema)]

#: An entry of a history: an item id, or a pair of one and the kind of its event.
PastEvent = Annotated[int | str | list[int | str], GetPydanticSchema(_event_schema)]


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
