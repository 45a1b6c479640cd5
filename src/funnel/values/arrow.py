"""From Arrow's columns to pandas', without widening: whole numbers stay whole beside a gap."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

_WHOLE = {
    pa.int8(): pd.Int8Dtype(), pa.int16(): pd.Int16Dtype(), pa.int32(): pd.Int32Dtype(),
    pa.int64(): pd.Int64Dtype(), pa.uint8(): pd.UInt8Dtype(), pa.uint16(): pd.UInt16Dtype(),
    pa.uint32(): pd.UInt32Dtype(), pa.uint64(): pd.UInt64Dtype(), pa.bool_(): pd.BooleanDtype(),
}  # fmt: skip


def plain(column: pd.Series) -> pd.Series:
    """A column without Arrow's types of pandas; any other as it is."""
    if not isinstance(column.dtype, pd.ArrowDtype):
        return column
    return to_series(pa.chunked_array(column.array.__arrow_array__()))


def to_series(values: Any) -> pd.Series:
    """A chunked array of Arrow as a pandas column in which every value is what it was.

    Whole numbers and truth values with gaps have pandas' own types for that. Lists of what NumPy cannot hold
    with a gap are Python's.
    """
    kind = values.type
    if pa.types.is_dictionary(kind):
        return to_series(values.cast(kind.value_type))
    if isinstance(kind, pa.BaseExtensionType):
        return pd.Series(values.to_pylist(), dtype=object)
    if pa.types.is_nested(kind) and not _numbers_only(kind):
        return _objects(values.to_pylist())
    gaps = _WHOLE.get if values.null_count else None
    column: pd.Series = values.to_pandas(types_mapper=gaps)
    return column


def flat(table: Any) -> Any:
    """A table whose columns that are structs are a column a part, such as "device.os", in any depth."""
    while any(pa.types.is_struct(kind) for kind in table.schema.types):
        table = table.flatten()
    return table


def joined(parts: list[Any], zone: str = "UTC") -> pd.Series:
    """The parts of one column, each a chunked array, end to end.

    zone: of moments that name none, where those of other parts do.

    Parts of different types of one group (whole numbers, floats, texts, moments, lengths of time) take the
    one that holds all of them. Others are joined value by value, so that no part changes those of another.
    """
    filled = [part for part in parts if len(part) > part.null_count] or parts[:1]
    kinds = {part.type for part in filled}
    kind = next(iter(kinds)) if len(kinds) == 1 else common(kinds)
    if kind is not None:
        try:
            cast = [_cast(part, kind, zone) for part in parts]
            return to_series(pa.chunked_array([chunk for part in cast for chunk in part.chunks], kind))
        except pa.ArrowException:
            pass  # a value that the common type does not hold
    return pd.concat([to_series(part).astype(object) for part in parts], ignore_index=True)


def _cast(part: Any, kind: Any, zone: str) -> Any:
    """To the type that holds all parts; an hour that comes twice is the first, one left out is the next."""
    local = pa.types.is_date(part.type) or (pa.types.is_timestamp(part.type) and part.type.tz is None)
    if not local or not pa.types.is_timestamp(kind) or kind.tz is None:
        return part if part.type == kind else part.cast(kind)
    unzoned = part.cast(pa.timestamp(kind.unit))
    return pc.assume_timezone(unzoned, zone, ambiguous="earliest", nonexistent="latest").cast(kind)


def common(kinds: set[Any]) -> Any:
    """The type that holds all of these where they are of one group, else None."""
    types = pa.types
    if all(map(types.is_integer, kinds)):
        return pa.int64()
    if all(map(types.is_floating, kinds)):
        return pa.float64()
    if all(types.is_string(kind) or types.is_large_string(kind) or _of_text(kind) for kind in kinds):
        return pa.large_string()
    if all(types.is_timestamp(kind) or types.is_date(kind) for kind in kinds):
        zone = "UTC" if any(types.is_timestamp(kind) and kind.tz for kind in kinds) else None
        return pa.timestamp("us" if pa.timestamp("ns") not in kinds else "ns", zone)
    return pa.duration("ns") if all(map(types.is_duration, kinds)) else None


def _of_text(kind: Any) -> bool:
    return pa.types.is_dictionary(kind) and pa.types.is_string(kind.value_type)


def _numbers_only(kind: Any) -> bool:
    """Lists of floats, which vectors are: a gap in one is NaN."""
    listed = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return listed and pa.types.is_floating(kind.value_type)


def _objects(values: list[Any]) -> pd.Series:
    column = np.empty(len(values), dtype=object)
    for row, value in enumerate(values):
        column[row] = value
    return pd.Series(column)
