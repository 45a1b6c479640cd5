"""Where files are on this machine is nothing that callers are told: what is told names them without it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from funnel.serving.live import Live


def masked(value: Any, live: Live) -> Any:
    """A text, or every text in a value of JSON, without the folders of the store and of a state's file: files
    in them keep their names, and a folder alone is "the store", or "the state's folder"."""
    if isinstance(value, dict):
        return {key: masked(part, live) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [masked(part, live) for part in value]
    if not isinstance(value, str):
        return value
    for folder, name in _folders(live):
        value = _without(value, folder, name)
    return value


def _without(text: str, folder: str, name: str) -> str:
    """Whole names of folders alone: "/data" is no part of "/data2" or "/old/data"."""
    there = rf"(?<![\w/.-]){re.escape(folder)}(?:(/)|(?![\w.-]))"
    return re.sub(there, lambda match: "" if match[1] else name, text)


def _folders(live: Live) -> list[tuple[str, str]]:
    """Folders that are not told, the longest first, and what is told in place of each."""
    path = getattr(live.state, "path", None)
    folders = {str(path.parent): "the state's folder"} if isinstance(path, Path) else {}
    folders[str(live.folder)] = "the store"
    absolute = [pair for pair in folders.items() if pair[0].startswith("/") and pair[0] != "/"]
    return sorted(absolute, key=lambda pair: -len(pair[0]))  # else it is a word like any other
