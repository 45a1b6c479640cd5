"""The differences between two sets of inputs, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_ABSENT = object()


def differences(before: Mapping[str, Any], after: Mapping[str, Any], most: int = 3) -> str:
    """The inputs that differ, at most `most` of them: "towers.d 16 → 32", and of files only their names."""
    changes = list(_walk("", before, after))
    more = f" and {len(changes) - most} more" if len(changes) > most else ""
    return ", ".join(changes[:most]) + more


def _walk(path: str, before: Any, after: Any) -> Iterator[str]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in sorted({*before, *after}):
            key = f"{path}.{name}" if path else str(name)
            yield from _walk(key, before.get(name, _ABSENT), after.get(name, _ABSENT))
    elif before is _ABSENT:
        yield f"{path} is new"
    elif after is _ABSENT:
        yield f"{path} is gone"
    elif before != after:
        yield f"{path} changed" if isinstance(after, list) else f"{path} {_short(before)} → {_short(after)}"


def _short(value: Any) -> str:
    """A hash is known by its beginning."""
    text = str(value)
    return text[:12] if len(text) == 64 else text
