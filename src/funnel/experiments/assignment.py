"""Who is in which arm: a hash of salt and user, so that every process says the same and nothing is stored."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Collection, Mapping
from itertools import accumulate

_UNIT = 2.0**-64


def point(salt: str, user: str) -> float:
    """Where a user lies in [0, 1): evenly over users, and unrelated between salts.

    user: an id in writing (`funnel.values.ids.written`), so that 7 and "7" are one person.

    >>> point("a", "7") == point("b", "7")
    False
    """
    return _Points(salt).of(user)


class _Points:
    """The points of users by one salt: what of the hash is the salt's is made once."""

    def __init__(self, salt: str) -> None:
        self._salted = hashlib.blake2b(f"{len(salt)}:{salt}:".encode("utf-8", "surrogatepass"), digest_size=8)

    def of(self, user: str) -> float:
        hashed = self._salted.copy()
        hashed.update(user.encode("utf-8", "surrogatepass"))
        return int.from_bytes(hashed.digest(), "little") * _UNIT


class Assignment:
    """The arms of one experiment.

    shares: by arm, adding up to 1; an arm with share 0 has nobody. ramp: the share of all users who are in
    it. Who is in stays in while it grows, and nobody changes arms: entering and arms go by two hashes.
    excluded: users, in writing, who are never in it. entering: the salt of the first hash; default `salt`.
    """

    def __init__(
        self,
        salt: str,
        shares: Mapping[str, float],
        ramp: float = 1.0,
        excluded: Collection[str] = (),
        entering: str | None = None,
    ) -> None:
        served = {name: share for name, share in shares.items() if share > 0}
        self._ramp, self._excluded = ramp, frozenset(excluded)
        self._entering = _Points(f"{salt if entering is None else entering}/ramp")
        self._points = _Points(salt)
        self._names, self._ends = list(served), list(accumulate(served.values()))[:-1]

    def arm(self, user: str) -> str | None:
        """The user's arm, None for one who is not in the experiment. user: in writing."""
        if user in self._excluded or (self._ramp < 1 and self._entering.of(user) >= self._ramp):
            return None
        return self._names[bisect_right(self._ends, self._points.of(user))]
