"""URLs that may hold a password, which no log, message or manifest may have."""

from __future__ import annotations

from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

#: What takes the place of a password.
HIDDEN = "***"

_SECRET = ("password", "passwd", "pwd", "secret", "token", "key")


def is_url(text: str) -> bool:
    """Whether it begins with a scheme, such as `redis://`."""
    scheme, between, _ = text.partition("://")
    return bool(between) and scheme.replace("+", "").replace("-", "").replace(".", "").isalnum()


def without_password(url: str) -> str:
    """The URL as it may be shown.

    >>> without_password("postgresql://me:secret@db/shop")
    'postgresql://me:***@db/shop'
    """
    try:
        parts = urlsplit(url)
        pairs = parse_qsl(parts.query, keep_blank_values=True)
    except ValueError:
        return f"{url.partition('://')[0]}://{HIDDEN}"
    user, at, host = parts.netloc.rpartition("@")
    if ":" in user:
        user = f"{user.partition(':')[0]}:{HIDDEN}"
    query = parts.query
    if any(_is_secret(name) for name, _ in pairs):
        hidden = [(name, HIDDEN if _is_secret(name) else value) for name, value in pairs]
        query = urlencode(hidden, safe="*")
    return urlunsplit((parts.scheme, f"{user}{at}{host}", parts.path, query, ""))


def scrubbed(text: str, url: str) -> str:
    """A message of a library without the URL's passwords, as they are written and as they are meant."""
    for secret in sorted(_secrets(url), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text


def _secrets(url: str) -> set[str]:
    try:
        parts = urlsplit(url)
        secrets = [value for name, value in parse_qsl(parts.query) if _is_secret(name)]
    except ValueError:
        return {url}
    user, _, _ = parts.netloc.rpartition("@")
    secrets.append(user.partition(":")[2])
    every = {form for text in secrets for form in (text, unquote(text), quote(unquote(text), safe=""))}
    return {secret for secret in every if secret}


def _is_secret(name: str) -> bool:
    return any(part in name.lower() for part in _SECRET)
