"""Passwords in URLs are shown to nobody."""

from __future__ import annotations

import pytest

from funnel.values.urls import has_password, hide_passwords, is_url, scrubbed, with_password, without_password


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:pa55@h:1/0", "redis://:***@h:1/0"),
        ("postgresql://me:pa55@h/db", "postgresql://me:***@h/db"),
        ("postgresql://me:pa/5@5@h/db?sslmode=require", "postgresql://me:***@h/db?sslmode=require"),
        ("redis://:pa?5#5@h:1/0", "redis://:***@h:1/0"),
        ("postgresql://me:pa@5?5/@h/db?a=b@c", "postgresql://me:***@h/db?a=b@c"),
        ("postgresql://me:pa?a=55@h/db?a=1", "postgresql://me:***@h/db?a=1"),
        ("postgresql://me@h/db?password=pa55&a=1", "postgresql://me@h/db?password=***&a=1"),
        ("postgresql://me@h/db?a=1&SSLPassword=pa55", "postgresql://me@h/db?a=1&SSLPassword=***"),
        ("postgresql://me@h/db", "postgresql://me@h/db"),
        ("sqlite:///a/b.db", "sqlite:///a/b.db"),
        ("unix:///run/redis.sock?db=1", "unix:///run/redis.sock?db=1"),
    ],
)
def test_a_password_is_not_shown(url: str, shown: str) -> None:
    assert without_password(url) == shown
    assert has_password(url) == ("***" in shown)
    assert is_url(url)


def test_messages_of_libraries_lose_it_in_every_form() -> None:
    url = "postgresql://me:p%2Fw%40@h/db?key=to%20ken"
    message = scrubbed("invalid p%2Fw%40, p/w@, to ken, to%20ken for me", url)
    assert message == "invalid ***, ***, ***, *** for me"
    assert with_password(url, "${X}") == "postgresql://me:${X}@h/db?key=to%20ken"
    assert scrubbed("as it is", "postgresql://me@h/db") == "as it is"
    inside = "{'url': 'redis://:pa@55@h/0', 'b': 'postgresql://h/db?password=x'}"
    assert hide_passwords(inside) == "{'url': 'redis://:***@h/0', 'b': 'postgresql://h/db?password=***"
    assert not is_url("C:/data")
    assert not is_url("folder/data")
