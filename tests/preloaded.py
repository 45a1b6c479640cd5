"""What the process that others are forked from has, so that none of them makes it for itself.

It is imported there behind the libraries. Compiled code that is kept on disk is loaded into its functions, by
each combination of types that it is kept for; and garbage collections do not look through what is there.
"""

from __future__ import annotations

import gc
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from funnel.compiling.kept import Kept, _read, cache_folders


def functions() -> Iterator[Any]:
    """Every compiled function of the loaded modules."""
    for name, module in list(sys.modules.items()):
        if name.startswith("funnel."):
            for value in list(vars(module).values()):
                if isinstance(getattr(value, "_cache", None), Kept) and value.__module__ == name:
                    yield value


def files(kept: Kept) -> Iterator[Path]:
    """Code of the function as it is now, for whatever processor."""
    for folder in cache_folders(kept._function):
        yield from folder.glob(f"{kept._name}-{kept._stamp}-*.code")


def load(function: Any) -> None:
    """Load what is kept of one function for this processor; compile nothing."""
    kept = function._cache
    for path in files(kept):
        if (data := _read(path)) is None:
            continue
        signature = tuple(pickle.loads(data)[3].args)  # noqa: S301  (our own, by its digest)
        if kept._file(signature, function.targetctx.codegen()) == path.name:
            function.compile(signature)


def main() -> None:
    for function in functions():
        load(function)
        function._cache.hits.clear()  # of the process that was forked, these are none
    gc.collect()
    gc.freeze()


main()
