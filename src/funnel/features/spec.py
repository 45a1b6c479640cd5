"""The form of an encoded column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Encoding: TypeAlias = Literal["category", "multi_category", "number", "vector"]


@dataclass(frozen=True, slots=True)
class Spec:
    """The form of an encoded column.

    kind "category": int32 [n], 0 = missing or never seen, size codes in all, width 1.
    "multi_category": int32 [n, width], the codes first, then 0; size codes in all.
    "number": float32 [n, 2], standardised and cut at ±5, and whether it is missing; size and width 2.
    "vector": float32 [n, width], size = width.
    """

    kind: Encoding
    size: int
    width: int
