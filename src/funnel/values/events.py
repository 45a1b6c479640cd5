"""What an event says, as callers of `Live` and of a client give it: checked where it is given."""

from __future__ import annotations

import math
from typing import Any

from funnel.errors import DataError
from funnel.values.ids import written
from funnel.values.shown import shown

#: Characters of an id: what is longer is none, and would fill a log.
LONGEST = 4096

#: Characters of the id of an answer.
MOST_ANSWER = 64

#: The largest value of an event: that of a float32.
MOST_VALUE = 3.4e38


def parts(given: Any, number: int) -> tuple[str, str, Any, Any, Any, Any]:
    """User and item in writing; time, kind, value and answer as they are, None where they are left out.

    number: of the event among those of its call, for messages. Raises: DataError for what is no event, or has
    no ids.
    """
    if not isinstance(given, tuple) or not 2 <= len(given) <= 6:
        raise DataError(
            f"event {number} is {shown(given)}: (user id, item id, seconds) is expected, "
            "which a kind, a value and the id of an answer may follow"
        )
    user, item = written(given[0]), written(given[1])
    if user is None or item is None or max(len(user), len(item)) > LONGEST:
        raise DataError(f"event {number} is {shown(tuple(given))}: a user id and an item id are expected")
    when, kind, value, answer = (*given[2:], None, None, None, None)[:4]
    return user, item, when, kind, value, answer


def worth(value: Any, where: str) -> float | None:
    """A value of an event; None where there is none. where: in front of the message.

    Raises: DataError for what is no number from 0 to 3.4e38.
    """
    if value is None:
        return None
    try:
        number = math.nan if isinstance(value, bool | str) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not 0 <= number <= MOST_VALUE:
        raise DataError(f"{where}value is {shown(value)}; a number of at least 0 is expected")
    return number


def answer_id(value: Any, where: str) -> str | None:
    """The id of the answer that an event belongs to; None where there is none. where: in front of the
    message.

    Raises: DataError for what cannot be one, also a text with a zero or half a character in it, which not
    every log can hold.
    """
    if value is None or (isinstance(value, str) and 1 <= len(value) <= MOST_ANSWER and value.isprintable()):
        return value
    raise DataError(
        f"{where}answer is {shown(value)}; the id of an answer is expected, as `Answer.id` has it"
    )
