"""Where the machine code of functions is kept.

It is read wherever it is, and written wherever that is allowed; where it is not, a process compiles in its
own memory and says so in the log. Numba's own cache is not used: it does not read beside a package that it
may not write, two processes that compile at once can mix up its files, and a function whose callees have
changed keeps their old code.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import pickle
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache, cached_property
from pathlib import Path
from types import CodeType
from typing import Any

import llvmlite
import numba
from numba.core import config
from numba.core.compiler import CompileResult
from numba.core.compiler_lock import global_compiler_lock
from numba.core.environment import Environment, lookup_environment
from numba.core.runtime import rtsys
from numba.core.serialize import dumps

log = logging.getLogger(__name__)

_DIGEST = 32


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
        for environment in compiled_code._find_referenced_environments():  # those of its parts have none yet
            compiled_code.library.codegen.set_env(environment.env_name, environment)
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
