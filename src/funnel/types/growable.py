"""Arrays that can be written to and have room for more rows, over files that stay as they are."""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
import weakref
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MAP_FIXED, _FAILED = 0x10, ctypes.c_void_p(-1).value
_ANONYMOUS = getattr(mmap, "MAP_ANONYMOUS", 0x20)


def growable(array: NDArray[Any], n: int, fill: Any = 0) -> NDArray[Any]:
    """A private array of n rows that begins with those of `array`; the others are `fill`.

    Where `array` is mapped from a file, so is the new one, copy on write: the pages that nobody writes to
    stay shared with every process that maps the file, and further rows take memory when they are written. The
    cost does not depend on the rows. Any other array is copied. The file is never changed.
    """
    mapped = _mapped(array, n) if array.size and sys.platform == "linux" else None
    if mapped is None:
        mapped = np.zeros((n, *array.shape[1:]), dtype=array.dtype)
        mapped[: len(array)] = array
    if fill != 0:
        mapped[len(array) :] = fill
    return mapped


def _mapped(array: NDArray[Any], n: int) -> NDArray[Any] | None:
    """The same, mapped; None where the array is not one that was mapped from a file, whole and in C order."""
    source: Any = None
    part: Any = array
    while isinstance(part, np.ndarray):  # the last in the chain of views is the whole file's
        source = part if isinstance(part, np.memmap) else source
        part = part.base
    if source is None or not array.flags.c_contiguous or source.filename is None:
        return None
    at = source.offset + array.ctypes.data - source.ctypes.data
    shape = (n, *array.shape[1:])
    with open(source.filename, "rb") as file:
        memory, begin = _memory(file.fileno(), at, array.nbytes, n * (array.nbytes // len(array)))
    return np.frombuffer(memory, dtype=array.dtype, count=int(np.prod(shape)), offset=begin).reshape(shape)


def _memory(file: int, at: int, size: int, room: int) -> tuple[Any, int]:
    """Private memory of `room` bytes that begins with `size` bytes of a file, and where in it they begin.

    Raises: OSError when the system has none.
    """
    begin = at % mmap.PAGESIZE
    total = begin + max(room, size)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    access = mmap.PROT_READ | mmap.PROT_WRITE
    start = libc.mmap(None, total, access, mmap.MAP_PRIVATE | _ANONYMOUS, -1, 0)
    if start == _FAILED:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    if libc.mmap(start, begin + size, access, mmap.MAP_PRIVATE | _MAP_FIXED, file, at - begin) == _FAILED:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    memory = (ctypes.c_char * total).from_address(start)
    behind = min(-(begin + size) % mmap.PAGESIZE, total - begin - size)
    ctypes.memset(start + begin + size, 0, behind)  # what the file's last page holds behind the array
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    weakref.finalize(memory, libc.munmap, start, total).atexit = False
    return memory, begin
