"""Functions that are made a part of the compiled functions that call them.

Numba optimises a function with all that it calls, makes machine code of all that, and does so again for each
function further out: of a call ten deep, ten times. An inner function stays what Numba hands to LLVM, until a
function that Python calls is made of it.
"""

from __future__ import annotations

from typing import Any

from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler


class InnerCompiler(Compiler):
    """Compiles into an `InnerLibrary`."""

    def __init__(self, typing: Any, target: Any, library: Any, *rest: Any) -> None:
        super().__init__(typing, target, InnerLibrary(target.codegen(), "inner"), *rest)


class InnerLibrary(JITCodeLibrary):
    """A function and what it calls, to be linked into others: there is no address to call it at."""

    def _optimize_final_module(self) -> None:
        """Left to whoever is made of it."""

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._finalized = True

    @property
    def codegen(self) -> Any:
        """Itself, by whom the function's environment would be set."""
        return self

    def set_env(self, name: str, environment: Any) -> None:
        """Nothing: what is nowhere in memory has no place for it. `Kept` sets those of a whole function."""
