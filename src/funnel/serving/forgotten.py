"""Who was forgotten, on whichever machine, goes from the logs of answers of this one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from funnel.artifacts.writing import replace_line
from funnel.impressions.erase import erase_where
from funnel.impressions.locks import rewriting
from funnel.values.ids import digest, written

#: In the folder of what was done: when each was forgotten who is done, by digest.
_DONE = "FORGOTTEN.json"


def erase_once(forgotten: Mapping[str, float], logs: Sequence[Path], folder: Path) -> None:
    """Remove what people were answered before they were forgotten, unless a process on this folder did.

    forgotten: seconds by digest of an id. Killed half-way, it is done again.
    Raises: OSError where something cannot be written; DataError for a file that is damaged.
    """
    with rewriting(folder):
        if new := not_done(forgotten, folder):
            erase_all(new, logs)
            set_done(new, folder)


def erase_all(forgotten: Mapping[str, float], logs: Sequence[Path]) -> int:
    """The same in any case; how many answers there were."""
    return sum(
        erase_where(
            log,
            lambda impression: is_theirs(forgotten, impression.user, impression.time),
            lambda user: is_theirs(forgotten, user, float("-inf")),
        )
        for log in logs
        if log.is_dir()
    )


def is_theirs(forgotten: Mapping[str, float], user: Any, time: float) -> bool:
    """Whether it is of somebody from before they were forgotten."""
    text = written(user)
    return text is not None and time < forgotten.get(digest(text), float("-inf"))


def not_done(forgotten: Mapping[str, float], folder: Path) -> dict[str, float]:
    """Those who are not done in a folder."""
    done = _done(folder)
    return {user: at for user, at in forgotten.items() if done.get(user) != at}


def set_done(forgotten: Mapping[str, float], folder: Path) -> None:
    """They are. Raises: OSError."""
    replace_line(folder / _DONE, json.dumps(_done(folder) | dict(forgotten)))


def _done(folder: Path) -> dict[str, float]:
    try:
        return dict(json.loads((folder / _DONE).read_text()))
    except (OSError, ValueError):  # all of it is done again
        return {}
