"""What goes to another process: a recipe as bytes, contents by their folder."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from dataclasses import fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from funnel.bundle.contents import Contents, load_contents
from funnel.errors import BundleError
from funnel.recipes import Recipe

#: Parts of contents that go along as values; all others are those of the folder.
_SMALL = (
    "features", "retrieve", "rerank", "weights", "ranker", "exclude_seen", "encoding", "shown", "heads",
    "head_trees", "propensities", "rules", "rank", "explore", "kinds", "while_served",
)  # fmt: skip

#: What a process keeps ready: works that it made, and folders that it opened. Runs use one after the other.
_WORKS, _FOLDERS = 4, 2


def packed(recipe: Recipe) -> bytes:
    """A recipe as bytes for a process of the same versions, which sees the same folders.

    Raises: BundleError for contents that were made in memory, which no other process could load.
    """
    from ray import cloudpickle

    class Pickler(cloudpickle.Pickler):
        def reducer_override(self, value: Any) -> Any:
            if isinstance(value, Path):  # another process is in another folder
                return Path, (str(value.absolute()),)
            if isinstance(value, Contents):
                return _opened, _about(value)
            return super().reducer_override(value)

    file = io.BytesIO()
    Pickler(file).dump(recipe)
    return file.getvalue()


@lru_cache(maxsize=_WORKS)
def unpacked(text: bytes) -> Callable[[Any], Any]:
    """The work of a recipe, made once in this process. text: from this program's own driver."""
    recipe: Recipe = pickle.loads(text)  # noqa: S301
    work: Callable[[Any], Any] = recipe.work
    return work


def _about(contents: Contents) -> tuple[str, dict[str, Any]]:
    """The folder of contents, and what is not as it has it."""
    if contents.loaded is None:
        raise BundleError("contents that were made in memory cannot go to another process: load them")
    folder, loaded = contents.loaded
    for field in fields(contents):
        name = field.name
        if name not in (*_SMALL, "loaded") and getattr(contents, name) is not getattr(loaded, name):
            raise BundleError(f"{name} is not as {folder} has it: no other process could load it")
    return str(folder.absolute()), {name: getattr(contents, name) for name in _SMALL}


def _opened(folder: str, small: dict[str, Any]) -> Contents:
    return replace(_folder(folder), **small)


@lru_cache(maxsize=_FOLDERS)
def _folder(folder: str) -> Contents:
    return load_contents(Path(folder))
