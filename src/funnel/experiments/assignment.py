"""Who is in which arm: a hash of salt and user, so that every process says the same and nothing is stored."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

_UNIT = 2.0**-64


def point(salt: str, user: Any) -> float:
    """Where a user lies in [0, 1): evenly over users, and unrelated between salts.

    user: an id; 7 and "7" are one person, as an id is in a URL and in a table.

    >>> point("a", 7) == point("a", "7") != point("b", 7)
    True
    """
    text = f"{len(salt)}:{salt}:{user}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little") * _UNIT


def arm_of(salt: str, user: Any, shares: Sequence[float], ramp: float = 1.0) -> int | None:
    """The arm's number, None where the user is not in the experiment yet.

    shares: of the arms, adding up to 1; one with share 0 has nobody. ramp: the share of all users who are in.
    Who is in stays in while it grows, and nobody changes arms: entering and arms go by two hashes.
    """
    if ramp < 1 and point(f"{salt}/ramp", user) >= ramp:
        return None
    return min(bisect_right(list(accumulate(shares)), point(salt, user)), _last(shares))


def _last(shares: Sequence[float]) -> int:
    """The last arm that has anybody: sums of shares end a little below 1."""
    return max(number for number, share in enumerate(shares) if share > 0)
