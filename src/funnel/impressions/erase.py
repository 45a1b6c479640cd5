"""A person's rows go from the log."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from itertools import filterfalse
from pathlib import Path

from funnel.errors import DataError
from funnel.impressions.compact import write_whole
from funnel.impressions.compacted import impressions_in, sources_of, users_in
from funnel.impressions.files import COMPACTED, in_hours
from funnel.impressions.locks import rewriting
from funnel.impressions.record import Impression, from_line

_Theirs = Callable[[Impression], bool]


def erase(folder: Path, user: str) -> int:
    """Erase all answers of a user, who is named in writing; how many there were.

    Lines are overwritten where they stand, also while somebody writes behind them; compacted files that have
    any are written anew. It looks at the users of the whole log. Killed half-way, it goes on when it is
    called again.

    Raises: OSError where the log cannot be written; DataError for a compacted file that is damaged.
    """
    if not folder.is_dir():
        return 0
    return erase_where(folder, lambda shown: shown.user is not None and str(shown.user) == user, {user})


def erase_where(folder: Path, theirs: _Theirs, users: set[str] | None = None) -> int:
    """The same for answers of which something holds. users: in writing, of whom alone it can; None: not
    known."""
    erased = 0
    with rewriting(folder):
        for path in in_hours(folder, None, None):
            if path.suffix == COMPACTED:
                erased += _from_compacted(path, theirs, users)
            else:
                erased += _from_lines(path, theirs, users)
    return erased


def _from_lines(path: Path, theirs: _Theirs, users: set[str] | None) -> int:
    """Overwrite lines with spaces, which a reader passes over."""
    marks = None if users is None else [_mark(user) for user in users]
    erased = at = 0
    with path.open("rb+", buffering=0) as raw, path.open("rb") as lines:
        for line in lines:
            if (marks is None or any(mark in line for mark in marks)) and _is_theirs(line, theirs):
                os.pwrite(raw.fileno(), b" " * (len(line) - 1), at)
                erased += 1
            at += len(line)
        if erased:
            os.fsync(raw.fileno())
    return erased


def _mark(user: str) -> bytes:
    """What a line of a user holds, as a number or a text: for a look before it is read."""
    return json.dumps(user, ensure_ascii=False)[1:-1].encode(errors="replace")


def _is_theirs(line: bytes, theirs: _Theirs) -> bool:
    try:
        return line.endswith(b"\n") and theirs(from_line(line))
    except DataError:
        return False


def _from_compacted(path: Path, theirs: _Theirs, users: set[str] | None) -> int:
    if users is not None and not users & users_in(path):
        return 0
    gone = sum(map(theirs, impressions_in(path)))
    if gone:
        write_whole(path, filterfalse(theirs, impressions_in(path)), sources_of(path))
    return gone
