"""A person's rows go from the log."""

from __future__ import annotations

import json
import os
import re
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
_Users = Callable[[str], bool]

#: The user of a line, for a look before it is read; see `as_line`.
_USER = re.compile(rb'\{"id":"[^"]*","time":[^,]*,"user":(.+?),"version":')


def erase(folder: Path, user: str) -> int:
    """Erase all answers of a user, who is named in writing; how many there were.

    Lines are overwritten where they stand, also while somebody writes behind them; compacted files that have
    any are written anew. It looks at the users of the whole log. Killed half-way, it goes on when it is
    called again.

    Raises: OSError where the log cannot be written; DataError for a compacted file that is damaged.
    """
    if not folder.is_dir():
        return 0
    return erase_where(
        folder, lambda shown: shown.user is not None and str(shown.user) == user, lambda name: name == user
    )


def erase_where(folder: Path, theirs: _Theirs, users: _Users = lambda _: True) -> int:
    """The same for answers of which something holds. users: whether it can for a user, in writing."""
    erased = 0
    with rewriting(folder):
        for path in in_hours(folder, None, None):
            if path.suffix == COMPACTED:
                erased += _from_compacted(path, theirs, users)
            else:
                erased += _from_lines(path, theirs, users)
    return erased


def _from_lines(path: Path, theirs: _Theirs, users: _Users) -> int:
    """Overwrite lines with spaces, which a reader passes over."""
    erased = at = 0
    with path.open("rb+", buffering=0) as raw, path.open("rb") as lines:
        for line in lines:
            if _may_be(line, users) and _is_theirs(line, theirs):
                os.pwrite(raw.fileno(), b" " * (len(line) - 1), at)
                erased += 1
            at += len(line)
        if erased:
            os.fsync(raw.fileno())
    return erased


def _may_be(line: bytes, users: _Users) -> bool:
    match = _USER.match(line)
    try:
        return match is None or users(str(json.loads(match[1])))
    except ValueError:  # a damaged line, whoever it is of
        return False


def _is_theirs(line: bytes, theirs: _Theirs) -> bool:
    try:
        return line.endswith(b"\n") and theirs(from_line(line))
    except DataError:
        return False


def _from_compacted(path: Path, theirs: _Theirs, users: _Users) -> int:
    if not any(map(users, users_in(path))):
        return 0
    gone = sum(map(theirs, impressions_in(path)))
    if gone:
        write_whole(path, filterfalse(theirs, impressions_in(path)), sources_of(path))
    return gone
