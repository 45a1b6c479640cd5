"""Functions as machine code.

What a first call costs is compiling, most of it in Numba and not in LLVM: in what serving calls, a loop over
elements is better than an assignment of one slice to another, whose error message alone takes as long to
compile as ten kernels, and than `.max()`.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from numba import njit, types

from funnel.compiling.kept import Kept


def compiled(
    function: Callable[..., Any] | None = None, *, fastmath: Any = False, inner: bool = False
) -> Any:
    """The function as machine code, made for each combination of types that it is called with, and kept.

    It runs without the lock of Python. fastmath: as in `numba.njit`. inner: compiled functions alone call it,
    so that it is made a part of each of them, and no machine code of its own is made or kept.
    """
    if function is None:
        return lambda later: compiled(later, fastmath=fastmath, inner=inner)
    options = {"nogil": True, "fastmath": fastmath, "no_cfunc_wrapper": True, "no_cpython_wrapper": inner}
    if inner:
        options["pipeline_class"] = _inner_compiler
    wrapped = njit(**options)(function)
    _of_few_types(wrapped)
    if inner:
        _without_entry(wrapped)
    else:
        wrapped._cache = Kept(function)
    return wrapped


def _inner_compiler(*given: Any) -> Any:
    """What an inner function is compiled by, which loads what only compiling needs."""
    from funnel.compiling.inner import InnerCompiler

    return InnerCompiler(*given)


def _of_few_types(wrapped: Any) -> None:
    """Let calls by compiled functions use one code for whole numbers of every width, constants too: Numba
    would compile it once a constant and once a width."""
    resolve = wrapped.get_call_template

    def resolve_plain(args: Any, kws: Any) -> Any:
        return resolve(tuple(map(_plain, args)), {name: _plain(kind) for name, kind in kws.items()})

    wrapped.get_call_template = resolve_plain


def _plain(kind: Any) -> Any:
    kind = types.unliteral(kind)
    return types.int64 if isinstance(kind, types.Integer) and kind.signed else kind


def _without_entry(wrapped: Any) -> None:
    """Let a call from Python say so, where Numba would jump to an address that nothing is at."""

    def add_overload(result: Any) -> None:
        wrapped.overloads[tuple(result.signature.args)] = result

    def refuse(*_: Any, **__: Any) -> None:
        raise TypeError(f"{wrapped.__qualname__} is called by compiled functions alone: it has `inner`")

    wrapped.add_overload, wrapped._compile_for_args = add_overload, refuse


@contextmanager
def without_collection() -> Iterator[None]:
    """Switch the cyclic garbage collector off for the block: it takes a fifth of the time of compiling, on
    objects of Numba that are not garbage yet."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


def kernels() -> Iterator[Kept]:
    """The kept machine code of every compiled function of the loaded modules."""
    for name, module in list(sys.modules.items()):
        if name.startswith("funnel."):
            for value in list(vars(module).values()):
                if isinstance(getattr(value, "_cache", None), Kept) and value.__module__ == name:
                    yield value._cache
