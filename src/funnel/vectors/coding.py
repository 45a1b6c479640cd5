"""Vectors as fewer bytes, and back.

    float32  4 d bytes: the numbers as they are
    float16  2 d bytes: IEEE 754 binary16, to the nearest; below 2⁻¹⁴ as fractions of 2⁻²⁴
    int8     d + 4 bytes: d whole numbers from −127 to 127, and behind them, in the same row, the float32
             that they are multiplied with, which is the vector's own

A product of a whole number of 7 bits and a scale of 17 is exact in float32's 24. So what is decoded is
exactly what is stored, whoever multiplies, and encoding it again gives the same bytes.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from funnel.types import Float32

#: How the numbers of a vector are kept.
Form = Literal["float32", "float16", "int8"]
FORMS: tuple[Form, ...] = get_args(Form)

#: Rows of bytes or numbers as compiled code reads them: float32 [n, d], uint16 [n, d] or int8 [n, d + 4].
Stored = NDArray[Any]

#: Bytes of a row's scale.
SCALE = 4

_MOST = 127
#: What float16 reaches.
LARGEST = float(np.finfo(np.float16).max)
#: Bits of a float32 that are cut from a scale, and what rounds up before they are.
_CUT, _UP = np.uint32(0xFFFFFF80), np.uint32(0x7F)

#: By form, as arrays are typed in files and in compiled code.
IN_FILES: dict[Form, np.dtype[Any]] = {
    "float32": np.dtype("float32"),
    "float16": np.dtype("float16"),
    "int8": np.dtype("int8"),
}
IN_CODE: dict[Form, np.dtype[Any]] = {**IN_FILES, "float16": np.dtype("uint16")}


def stored_width(form: Form, d: int) -> int:
    """Numbers of a stored row whose vector has d."""
    return d + SCALE if form == "int8" else d


def row_bytes(form: Form, d: int) -> int:
    """Bytes of a stored vector of d numbers.

    >>> row_bytes("int8", 64)
    68
    """
    return stored_width(form, d) * IN_FILES[form].itemsize


def encode(vectors: Float32, form: Form) -> Stored:
    """Vectors [..., d] as stored rows. A number that float16 does not reach becomes its largest."""
    if form == "float32":
        return vectors
    if form == "float16":
        return _halves(vectors).view(np.uint16)
    scales = _scales(np.abs(vectors).max(axis=-1, keepdims=True, initial=0))
    with np.errstate(invalid="ignore"):  # NaN stays in the scale
        codes = np.rint(vectors / np.where(scales == 0, 1, scales)).astype(np.int8)
    return np.concatenate([codes, scales.view(np.int8)], axis=-1)


def decode(stored: Stored) -> Float32:
    """Stored rows [..., w] as vectors [..., d]; float32 is not copied."""
    if stored.dtype == np.float32:
        return stored
    if stored.dtype == np.uint16:
        return stored.view(np.float16).astype(np.float32)
    scales = np.ascontiguousarray(stored[..., -SCALE:]).view(np.float32)
    vectors: Float32 = stored[..., :-SCALE].astype(np.float32)
    with np.errstate(invalid="ignore"):  # 0 times a scale that is infinite
        vectors *= scales
    return vectors


def _halves(vectors: Float32) -> NDArray[np.float16]:
    with np.errstate(over="ignore"):
        halves = vectors.astype(np.float16)
    beyond = np.isinf(halves) & np.isfinite(vectors)
    halves[beyond] = np.copysign(LARGEST, vectors[beyond])
    return halves


def _scales(largest: Float32) -> Float32:
    """The largest numbers divided by 127, rounded up to 17 bits."""
    bits = (largest.astype(np.float32) / np.float32(_MOST)).view(np.uint32)
    return ((bits + _UP) & _CUT).view(np.float32)
