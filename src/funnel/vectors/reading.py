"""Stored vectors in compiled code: one number of a row, a row's scale and length, how many numbers it has.

What is done is known from the type of the array, so that float32 costs nothing more than before, and loops
over the others are cut into vector instructions like any.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from funnel.compiling import compiled
from funnel.vectors.coding import SCALE

_WORD, _FLOAT = ir.IntType(32), ir.FloatType()


@intrinsic
def as_float(_: Any, stored: Any) -> Any:
    """A stored number as the float that it is, but for its row's scale."""
    if stored == types.int8:
        return types.float32(stored), _of_integer
    if stored == types.uint16:
        return types.float32(stored), _of_half
    return stored(stored), _itself


@intrinsic
def scale_of(_: Any, row: Any) -> Any:
    """What the numbers of a stored row [w] are multiplied with; 1 unless they are whole numbers."""
    if row.dtype == types.int8:
        return types.float32(row), _scale_behind
    return types.float32(row), lambda *_: ir.Constant(_FLOAT, 1.0)


@intrinsic
def dimension(_: Any, stored: Any) -> Any:
    """How many numbers a vector has: of one stored row, or of the rows of a table."""
    behind = SCALE if stored.dtype == types.int8 else 0

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array = cgutils.create_struct_proxy(signature.args[0])(context, builder, args[0])
        numbers = builder.extract_value(array.shape, signature.args[0].ndim - 1)
        return builder.sub(numbers, ir.Constant(numbers.type, behind))

    return types.intp(stored), generate


@compiled(inner=True)
def inverse_norm(vector: Any) -> float:
    """1 / |vector|, 0 for a vector without a direction; of a stored one but for its scale, which makes no
    direction."""
    square = 0.0
    for i in range(dimension(vector)):
        square += np.float64(as_float(vector[i])) * np.float64(as_float(vector[i]))
    return 1.0 / np.sqrt(square) if square > 0 else 0.0


def _itself(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    return args[0]


def _of_integer(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    return builder.sitofp(args[0], _FLOAT)


def _of_half(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    """By whole numbers, as Giesen has it (Half to float done quick, 2012), since not every processor has an
    instruction for it: exponents count from another number, and what has none is a difference."""
    word = builder.zext(args[0], _WORD)
    size = builder.shl(builder.and_(word, _WORD(0x7FFF)), _WORD(13))
    normal = builder.bitcast(builder.add(size, _WORD(112 << 23)), _FLOAT)
    base = ir.Constant(_FLOAT, 2.0**-14)
    small = builder.fsub(builder.bitcast(builder.add(size, _WORD(113 << 23)), _FLOAT), base)
    value = builder.select(builder.icmp_unsigned("<", size, _WORD(1 << 23)), small, normal)
    sign = builder.shl(builder.and_(word, _WORD(0x8000)), _WORD(16))
    return builder.bitcast(builder.or_(builder.bitcast(value, _WORD), sign), _FLOAT)


def _scale_behind(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    array = cgutils.create_struct_proxy(signature.args[0])(context, builder, args[0])
    numbers = builder.extract_value(array.shape, 0)
    at = builder.gep(array.data, [builder.sub(numbers, ir.Constant(numbers.type, SCALE))])
    return builder.load(builder.bitcast(at, _FLOAT.as_pointer()), align=1)
