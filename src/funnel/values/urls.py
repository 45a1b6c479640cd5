"""URLs that may hold a password, which no log, message or manifest may have."""

from __future__ import annotations

import os
import re
from urllib.parse import quote, unquote

from funnel.errors import DataError

#: What takes the place of a password.
HIDDEN = "***"

_SECRET_INSIDE = re.compile(r"(://[^:@/\s'\"]*:)[^\s'\"]+@")
_NAMED = re.compile(r"\$\{(\w+)\}")

#: The parameters of a URL; what else follows a "?" is of a password.
_PARAMETERS = re.compile(r"\?(?:[\w.-]+=[^&]*(?:&|$))*")

#: A parameter that is one, such as `?password=` or `&sslpassword=`.
_SECRET_PAIR = re.compile(r"([?&][^=&]*(?:passw|pwd|secret|token|key)[^=&]*=)([^&]*)", re.IGNORECASE)


def is_url(text: str) -> bool:
    """Whether it begins with a scheme, such as `redis://`."""
    scheme, between, _ = text.partition("://")
    return bool(between) and scheme.replace("+", "").replace("-", "").replace(".", "").isalnum()


def without_password(url: str) -> str:
    """The URL as it may be shown.

    >>> without_password("postgresql://me:secret@db/shop?password=secret")
    'postgresql://me:***@db/shop?password=***'
    """
    return with_password(_SECRET_PAIR.sub(rf"\g<1>{HIDDEN}", url), HIDDEN)


def with_password(url: str, text: str) -> str:
    """The URL with a text in the place of its password, as it is; without one it stays as it is."""
    parts = _parts(url)
    return url if parts is None else f"{parts[0]}:{text}@{parts[2]}"


def with_variables(url: str) -> str:
    """The URL with what its `${NAME}` name in the environment, so that no file need hold a password.

    Raises: DataError for a variable that is not set.
    """

    def value(match: re.Match[str]) -> str:
        if match[1] not in os.environ:
            raise DataError(f"{without_password(url)} names the variable {match[1]}, which is not set")
        return quote(os.environ[match[1]], safe="")

    return _NAMED.sub(value, url)


def check_no_password(url: str, where: str, variable: str) -> None:
    """Raises: DataError where a password is in a URL that goes into manifests; it names the variable."""
    if has_password(_NAMED.sub("", url)):
        raise DataError(
            f"{where} holds a password, which would be copied into manifests and reports: write "
            f"${{{variable}}} in its place, and set that variable"
        )


def check_written(url: str, reserved: str) -> None:
    """Raises: DataError where a password has one of the characters that end it for who reads the URL: the
    rest would be looked for as a host, and be in its errors.
    """
    parts = _parts(url)
    for character in "" if parts is None else parts[1]:
        if character in reserved:
            raise DataError(
                f"{without_password(url)}: its password has a {character}, which a URL has as "
                f"{quote(character, safe='')}; `${{NAME}}`, from the environment, is written so by itself"
            )


def has_password(url: str) -> bool:
    """Whether a password is written in it."""
    return bool(_secrets(url))


def scrubbed(text: str, url: str) -> str:
    """A message of a library without the URL's passwords, as they are written and as they are meant."""
    for secret in sorted(_secrets(url), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text


def hide_passwords(text: str) -> str:
    """A text in which there may be URLs, such as a value in an error, without their passwords."""
    return _SECRET_PAIR.sub(rf"\g<1>{HIDDEN}", _SECRET_INSIDE.sub(rf"\g<1>{HIDDEN}@", text))


def _parts(url: str) -> tuple[str, str, str] | None:
    """What is in front of a password, the password, and what is behind the @; None where there is none.

    People write passwords with a /, a ? or an @ in them, which a strict reader takes for the end of the host.
    """
    before, query = url, ""
    for mark in re.finditer(r"\?", url):
        head, tail = url[: mark.start()], url[mark.start() :]
        if _PARAMETERS.fullmatch(tail) and ("@" in head or "@" not in tail):
            before, query = head, tail
            break
    user, at, host = before.rpartition("@")
    scheme, between, name = user.partition("://")
    name, colon, password = name.partition(":")
    return (f"{scheme}{between}{name}", password, host + query) if at and colon else None


def _secrets(url: str) -> set[str]:
    parts = _parts(url)
    texts = ["" if parts is None else parts[1], *(pair[1] for pair in _SECRET_PAIR.findall(url))]
    every = {form for text in texts for form in (text, unquote(text), quote(unquote(text), safe=""))}
    return {secret for secret in every if secret}
