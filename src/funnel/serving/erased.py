"""What remains of a person who was forgotten, in figures."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Erased:
    """What `LiveUsers.forget` did.

    events: how many of the user's events were removed from the store's log. bundle: the version in use, where
    its files hold the user: no answer reads them any more; the files themselves are gone when that version
    is, so build the next one from data without the user, and remove the older ones. impressions: how many of
    what the user was shown were removed. answers: how many were removed from the log of answers.
    """

    events: int
    bundle: str | None
    impressions: int = 0
    answers: int = 0
