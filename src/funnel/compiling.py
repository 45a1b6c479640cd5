"""Compiled functions, and where their machine code is kept.

It is read wherever it is, and written wherever that is allowed; where it is not, a process compiles in its
own memory and says so in the log. Numba's own cache is not used: it does not read beside a package that it
may not write, two processes that compile at once can mix up its files, and a function whose callees have
changed keeps their old code.

What a first call costs is compiling, most of it in Numba and not in LLVM: in what serving calls, a loop over
elements is better than an assignment of one slice to another, whose error message alone takes as long to
compile as ten kernels, and than `.max()`.
"""

from __future__ import annotations

import gc
import hashlib
import io
import logging
import os
import pickle
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache, cached_property
from pathlib import Path
from types import CodeType
from typing import Any

import llvmlite
import numba
import numpy as np
from numba import njit, types
from numba.core import config
from numba.core.compiler import CompileResult
from numba.core.compiler_lock import global_compiler_lock
from numba.core.environment import Environment, lookup_environment
from numba.core.runtime import rtsys
from numba.core.serialize import dumps
from numpy.typing import DTypeLike, NDArray

log = logging.getLogger(__name__)

_DIGEST = 32


def compiled(
    function: Callable[..., Any] | None = None, *, fastmath: Any = False, inner: bool = False
) -> Any:
    """The function as machine code, made for each combination of types that it is called with, and kept.

    It runs without the lock of Python. fastmath: as in `numba.njit`. inner: compiled functions alone call it,
    so that no entry for Python is made, which is a fifth of what compiling costs.
    """
    if function is None:
        return lambda later: compiled(later, fastmath=fastmath, inner=inner)
    options = {"nogil": True, "fastmath": fastmath, "no_cfunc_wrapper": True, "no_cpython_wrapper": inner}
    wrapped = njit(**options)(function)
    wrapped._cache = Kept(function)
    _without_literals(wrapped)
    if inner:
        _without_entry(wrapped)
    return wrapped


def frozen(array: Any, dtype: DTypeLike | None = None) -> NDArray[Any]:
    """A read-only view, C-contiguous, no subclass; a copy only where dtype or order must change, and the
    array itself where it is so already.

    Compiled code is specialised on whether an array may be written. What is fitted may be, what is mapped
    from a file may not: seen through this, both take the same code. Freeze what many kernels take once.
    """
    plain = type(array) is np.ndarray and array.flags.c_contiguous and (dtype is None or array.dtype == dtype)
    if plain and not array.flags.writeable:
        return array
    view = array.view() if plain else np.ascontiguousarray(array, dtype=dtype).view(np.ndarray)
    view.flags.writeable = False
    return view


def plain(*arrays: NDArray[Any]) -> tuple[NDArray[Any], ...]:
    """Arrays that were made a moment ago, in C order and not read-only; where any is not, all are copied.

    The other way to have one compilation for all: what a request makes has this form by itself, and costs
    nothing but the look.
    """
    for array in arrays:
        if not array.flags.carray:
            return tuple([np.array(array, order="C") for array in arrays])
    return arrays


def _without_literals(wrapped: Any) -> None:
    """Let calls with constants use the code for any number: Numba would compile it once a constant."""
    resolve = wrapped.get_call_template

    def resolve_plain(args: Any, kws: Any) -> Any:
        named = {name: types.unliteral(kind) for name, kind in kws.items()}
        return resolve(tuple(types.unliteral(kind) for kind in args), named)

    wrapped.get_call_template = resolve_plain


def _without_entry(wrapped: Any) -> None:
    """Let a call from Python say so, where Numba would jump to an address that nothing is at."""

    def add_overload(result: Any) -> None:
        wrapped.overloads[tuple(result.signature.args)] = result

    def refuse(*_: Any, **__: Any) -> None:
        raise TypeError(f"{wrapped.__qualname__} is called by compiled functions alone: it has `inner`")

    wrapped.add_overload, wrapped._compile_for_args = add_overload, refuse


class Kept:
    """The machine code of one function, a file for each combination of types and kind of processor.

    A file's name has a digest of all that its content depends on, so that nothing is ever replaced by
    something else, whoever writes at the same time. What is damaged is compiled again. It has the methods
    that Numba expects of a cache.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._name = f"{function.__module__}.{function.__qualname__}"
        self.hits: list[Path] = []
        self.saved: list[Path] = []
        self.unsaved = 0

    @property
    def cache_path(self) -> str:
        """The first folder that is searched."""
        return str(next(cache_folders(self._function), ""))

    def load_overload(self, signature: Any, target: Any) -> Any:
        """The kept code for a combination of types; None where there is none."""
        _held_over_forks()
        rtsys.initialize(target)  # all that kept code needs of Numba; to compile loads what knows every type
        for folder in cache_folders(self._function):
            path = folder / self._file(signature, target.codegen())
            if (data := _read(path)) is not None:
                self.hits.append(path)
                return CompileResult._rebuild(target, *_Loader(io.BytesIO(data)).load())
        return None

    def save_overload(self, signature: Any, compiled_code: Any) -> None:
        """Keep it in the first folder that can be written."""
        if compiled_code.lifted or compiled_code.library.has_dynamic_globals:
            return
        data = dumps(compiled_code._reduce())
        for folder in cache_folders(self._function):
            path = folder / self._file(signature, compiled_code.codegen)
            with suppress(OSError):
                _write(path, data)
                self._forget_earlier(path)
                self.saved.append(path)
                return
        self.unsaved += 1
        _warn_unsaved()

    def enable(self) -> None:
        """Does nothing: the cache is always enabled."""

    disable = flush = enable

    def _file(self, signature: Any, codegen: Any) -> str:
        key = repr((signature, codegen.magic_tuple())).encode()
        return f"{self._name}-{self._stamp}-{hashlib.sha256(key).hexdigest()[:16]}.code"

    @cached_property
    def _stamp(self) -> str:
        """A digest of all sources of the code. Computed at the first call: by then callees are loaded."""
        sources: dict[str, bytes] = {}
        _gather(self._function, sources)
        versions = (numba.__version__, llvmlite.__version__, sys.implementation.cache_tag, config.OPT)
        whole = hashlib.sha256(repr((versions, sorted(sources.items()))).encode())
        return whole.hexdigest()[:16]

    def _forget_earlier(self, path: Path) -> None:
        """Remove code that was compiled from an earlier source."""
        for other in path.parent.glob(f"{self._name}-*.code"):
            if not other.name.startswith(f"{self._name}-{self._stamp}-"):
                other.unlink(missing_ok=True)


@cache
def _held_over_forks() -> None:
    """Have no thread compile, or load, while a process is forked: the child could never compile. Called with
    the lock of Numba held, which is for all of that."""
    if hasattr(os, "register_at_fork"):
        let_go = global_compiler_lock.release
        os.register_at_fork(
            before=global_compiler_lock.acquire, after_in_parent=let_go, after_in_child=let_go
        )


class _Loader(pickle.Unpickler):
    """Reads kept code, our own by its digest, without the modules of Numba that it was made from."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("numba.core.environment", "_rebuild_env"):
            return _environment
        return super().find_class(module, name)


def _environment(module: str, constants: list[Any], name: str) -> Environment:
    """What compiled code takes its constants from. Numba would import the module for its globals, which only
    code that is not wholly compiled reads; those of its arrays and of `sum` take half a second."""
    known = lookup_environment(name)
    if known is not None:
        return known
    environment = Environment({"__name__": module})
    environment.consts[:] = constants
    environment.env_name = name
    Environment._memo[name] = environment
    return environment


def cache_folders(function: Callable[..., Any]) -> Iterator[Path]:
    """Where its code is looked for and kept: NUMBA_CACHE_DIR, beside its module, the user's own cache."""
    if config.CACHE_DIR:
        yield Path(config.CACHE_DIR) / "funnel"
    yield Path(function.__code__.co_filename).parent / "__pycache__"
    if (own := own_cache()) is not None:
        yield own


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


def own_cache() -> Path | None:
    """A folder of the user's own for what can be made again; None where there is none that is theirs."""
    try:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        home = base if base.is_dir() else base.parent
        theirs = base.is_absolute() and home.stat().st_uid == os.geteuid()
    except (OSError, RuntimeError, AttributeError):  # no home, no such user, no users
        return None
    return base / "funnel" if theirs else None


def _read(path: Path) -> bytes | None:
    """The data that `_write` wrote; None where it is missing or damaged."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    digest, data = content[:_DIGEST], content[_DIGEST:]
    return data if hashlib.sha256(data).digest() == digest else None


def _write(path: Path, data: bytes) -> None:
    """Write a file in one step, so that nobody reads half of it. Raises: OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".code-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(hashlib.sha256(data).digest() + data)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)


def _gather(function: Callable[..., Any], sources: dict[str, bytes]) -> None:
    """The source of a function, of what it calls, and the constants that it reads, by name."""
    name = f"{function.__module__}.{function.__qualname__}"
    if name in sources:
        return
    sources[name] = _source(function.__code__.co_filename) or function.__code__.co_code
    for used in _names(function.__code__):
        value = function.__globals__.get(used)
        inner = getattr(value, "py_func", None) or getattr(value, "_defn", None)  # compiled, or an intrinsic
        if inner is not None:
            _gather(inner, sources)
        elif isinstance(value, int | float | str | tuple) or hasattr(value, "dtype"):
            sources[f"{name}:{used}"] = repr(value).encode()


def _names(code: CodeType) -> set[str]:
    """The names that it may take from its module."""
    inner = (_names(constant) for constant in code.co_consts if isinstance(constant, CodeType))
    return set(code.co_names).union(*inner)


@cache
def _source(path: str) -> bytes:
    """A digest of a file's content; empty where it cannot be read."""
    with suppress(OSError):
        return hashlib.sha256(Path(path).read_bytes()).digest()
    return b""


@cache
def _warn_unsaved() -> None:
    """Warn, once a process."""
    log.warning(
        "compiled code cannot be kept: neither the package nor a cache of the user can be written. Every "
        "process compiles for itself; run `funnel warm` when it is installed, or set NUMBA_CACHE_DIR"
    )
