"""A vector of bytes, one a candidate, as a type that compiled code can hold in registers.

Numba has no vector type and rarely makes one of a loop over bytes. These few operations are written in LLVM's
own vectors of WIDTH bytes, which it cuts to the registers of the machine (four of AVX-512, eight of AVX2).
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

#: Candidates that are scored together. 256 was faster than 128 (by a quarter at 500 candidates) and 64.
WIDTH = 256

_BYTE, _BIT, _WORD = ir.IntType(8), ir.IntType(1), ir.IntType(32)
_LANES, _FLOATS = ir.VectorType(_BYTE, WIDTH), ir.VectorType(ir.FloatType(), WIDTH)
_ZEROS = ir.Constant(_LANES, [0] * WIDTH)
_ONES = ir.Constant(_LANES, [255] * WIDTH)


class _Lanes(types.Type):
    def __init__(self) -> None:
        super().__init__(name=f"Lanes[{WIDTH}]")


_lanes = _Lanes()


@register_model(_Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, numba_type: Any) -> None:
        super().__init__(manager, numba_type, _LANES)


def _spread(builder: Any, value: Any, kind: Any = _LANES) -> Any:
    """The value in every lane."""
    first = builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.Constant(_WORD, 0))
    return builder.shuffle_vector(first, first, ir.Constant(ir.VectorType(_WORD, WIDTH), [0] * WIDTH))


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, at: Any, kind: Any = _LANES) -> Any:
    """Of the vector that begins at array[at]."""
    data = cgutils.create_struct_proxy(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [at]), kind.as_pointer())


@intrinsic
def spread(_: Any, byte: Any) -> Any:
    """The byte in every lane."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _spread(builder, args[0])

    return _lanes(types.uint8), generate


@intrinsic
def narrow(_: Any, lanes: Any, codes: Any, at: Any, bound: Any, mask: Any) -> Any:
    """lanes & mask in those lanes where codes[at + lane] > bound; codes is a uint8 array."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _pointer(context, builder, signature.args[1], args[1], args[2])
        right = builder.icmp_unsigned(">", builder.load(pointer, align=1), _spread(builder, args[3]))
        return builder.and_(args[0], builder.select(right, _spread(builder, args[4]), _ONES))

    return _lanes(_lanes, codes, types.int64, types.uint8, types.uint8), generate


@intrinsic
def count_above(_: Any, lanes: Any, values: Any, edge: Any) -> Any:
    """lanes + 1 in those lanes where values[lane] > edge; values is a float32 array of WIDTH or more."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _pointer(context, builder, signature.args[1], args[1], ir.IntType(64)(0), _FLOATS)
        above = builder.fcmp_ordered(">", builder.load(pointer, align=4), _spread(builder, args[2], _FLOATS))
        return builder.sub(args[0], builder.sext(above, _LANES))

    return _lanes(_lanes, values, types.float32), generate


@intrinsic
def where(_: Any, lanes: Any, these: Any, others: Any) -> Any:
    """The lane of `these` where that of `lanes` is not zero, else the lane of `others`."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.select(builder.icmp_unsigned("!=", args[0], _ZEROS), args[1], args[2])

    return _lanes(_lanes, _lanes, _lanes), generate


@intrinsic
def lowest_bit(_: Any, lanes: Any, base: Any) -> Any:
    """base + the index of the lowest bit that is set in each lane."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(_LANES, [_LANES, _BIT])
        count = cgutils.get_or_insert_function(builder.module, kind, f"llvm.cttz.v{WIDTH}i8")
        return builder.add(builder.call(count, [args[0], _BIT(0)]), _spread(builder, args[1]))

    return _lanes(_lanes, types.uint8), generate


@intrinsic
def store(_: Any, lanes: Any, out: Any, at: Any) -> Any:
    """out[at + lane] = lanes[lane]; out is a uint8 array."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _pointer(context, builder, signature.args[1], args[1], args[2])
        builder.store(args[0], pointer, align=1)
        return context.get_dummy_value()

    return types.none(_lanes, out, types.int64), generate
