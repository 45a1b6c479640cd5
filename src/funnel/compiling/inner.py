"""Functions that are made a part of the compiled functions that call them.

Numba optimises a function with all that it calls, makes machine code of all that, and does so again for each
function further out: of a call ten deep, ten times. An inner function stays what Numba hands to LLVM, until a
function that Python calls is made of it.

Numba also counts references: a function that is handed twenty arrays adds to twenty counts and takes away
from them, which takes longer than most do. Whoever calls has them for as long as that takes, so that
functions which only read and write in what they were given need not count.
"""

from __future__ import annotations

from typing import Any

from numba.core import ir, types
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import AnalysisPass, register_pass
from numba.core.typed_passes import NopythonTypeInference
from numba.core.types.containers import BaseTuple

#: Expressions that give an array, or a tuple of arrays, which somebody else has.
_BORROWING = {"getattr", "getitem", "static_getitem", "build_tuple", "exhaust_iter", "getiter", "iternext"}
_BORROWING |= {"pair_first", "pair_second", "cast", "phi"}


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


@register_pass(mutates_CFG=False, analysis_only=True)
class CountsReferences(AnalysisPass):
    """Finds out whether a function must count references, and has none counted where it need not."""

    _name = "counts_references"

    def __init__(self) -> None:
        super().__init__()

    def run_pass(self, state: Any) -> bool:
        if not _counts(state):
            state.flags.nrt = False
            state.targetctx = state.targetctx.subtarget(enable_nrt=False)
        return False


class InnerCompiler(CompilerBase):
    """Compiles into an `InnerLibrary`."""

    def __init__(self, typing: Any, target: Any, library: Any, *rest: Any) -> None:
        super().__init__(typing, target, InnerLibrary(target.codegen(), "inner"), *rest)

    def define_pipelines(self) -> list[Any]:
        passes = DefaultPassBuilder.define_nopython_pipeline(self.state)
        passes.add_pass_after(CountsReferences, NopythonTypeInference)
        passes.finalize()
        return [passes]


def _counts(state: Any) -> bool:
    """Whether a function makes or is given by others what has references, hands such a thing out, or raises
    what it must make."""
    models = state.targetctx.data_model_manager

    def counted(kind: Any) -> bool:
        return bool(models[kind].contains_nrt_meminfo())

    def owned(assigned: Any) -> bool:
        value, kinds = assigned.value, state.typemap
        if not isinstance(value, ir.Expr) or not counted(kinds[assigned.target.name]):
            return False
        by = kinds[value.index.name] if value.op == "getitem" else None
        indices = by if isinstance(by, BaseTuple) else [by]
        return value.op not in _BORROWING or any(isinstance(index, types.Array) for index in indices)

    statements = [statement for block in state.func_ir.blocks.values() for statement in block.body]
    return (
        counted(state.return_type)
        or any(isinstance(statement, ir.DynamicRaise | ir.Yield) for statement in statements)
        or any(isinstance(statement, ir.Assign) and owned(statement) for statement in statements)
    )
