"""Text that can be encoded: half a character, which cutting a text can leave, cannot."""

from __future__ import annotations

from typing import Any

from funnel.errors import DataError


def whole(value: Any, what: str) -> Any:
    """The value, unless it is, or holds, a text that no file can hold; what is no text passes.

    what: names the value in an error, such as "user_id" or "items.title".

    Raises: DataError for a text with a surrogate that has lost its other half, naming the position.

    >>> whole("sale", "items.title")
    'sale'
    """
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise DataError(
                f"{what} is {value!a:.80}: position {error.start} is half a character (a surrogate without "
                "its other half), which cannot be written; cut texts between characters"
            ) from None
    elif isinstance(value, list | tuple | set | frozenset):
        for text in value:
            whole(text, what)
    return value


def mended(text: str) -> str:
    """The text with U+FFFD for each half of a character.

    >>> mended("sale")
    'sale'
    """
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
