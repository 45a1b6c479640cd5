"""A bundle with other settings of its stages: everything else is the bundle's own, and not copied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from funnel.durations import Durations
from funnel.errors import ConfigError
from funnel.experiments.config import with_section
from funnel.serving.loaded import Loaded


def varied(loaded: Loaded, sections: Mapping[str, Mapping[str, Any]]) -> Loaded:
    """The same version with these keys of its sections `retrieve`, `rank`, `rerank` and `explore` in place
    of its own.

    What is made of items' columns and is kept up with their changes is shared with the bundle as it is.
    Raises: ConfigError for what a section cannot have beside the bundle's other keys.
    """
    contents = loaded.contents
    settings = {name: _merged(name, getattr(contents, name), given) for name, given in sections.items()}
    return _with(loaded, settings)


def undrawn(loaded: Loaded) -> Loaded:
    """The same version whose lists are never drawn by chance."""
    return loaded if loaded.contents.explore is None else _with(loaded, {"explore": None})


def _with(loaded: Loaded, settings: Mapping[str, Any]) -> Loaded:
    other = replace(loaded.contents, **settings)
    # Where a cached property keeps it.
    other.__dict__["_candidate_features"] = loaded.contents.candidate_features()
    return replace(loaded, contents=other, funnels={}, durations=Durations())


def _merged(name: str, own: Any, given: Mapping[str, Any]) -> Any:
    try:
        return with_section(name, own, given)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, (name, *first["loc"])))
        raise ConfigError(f"{key}: {first['msg'].removeprefix('Value error, ')}") from error
