"""Any value in an error message: short, and without another error."""

from __future__ import annotations

import reprlib
from typing import Any

_SHORT = reprlib.Repr()
_SHORT.maxlevel = 3
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 60


def shown(value: Any) -> str:
    """A value as it is written in Python, cut to some 60 characters a part.

    Whole numbers of thousands of digits, deep nestings and objects that fail to describe themselves are
    named by their type.

    >>> shown("DE")
    "'DE'"
    """
    try:
        text = _SHORT.repr(value).encode(errors="backslashreplace").decode()
    except Exception:  # a value of a caller's own type may raise anything
        return f"<{type(value).__name__}>"
    return " ".join(text.split()) if "\n" in text else text  # tables and arrays have several lines
