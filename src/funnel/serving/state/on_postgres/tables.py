"""The tables of a state, in a schema of their own: `funnel`."""

from __future__ import annotations

FORMAT = 1

#: Seconds since 1970: machines may differ in what time it is, the server is one. An index is searched by it.
NOW = "extract(epoch FROM statement_timestamp())::float8"

#: Writers take turns at the one row of `position`, so that numbers become visible in their order: who has
#: read up to one has missed none before it.
TABLES = f"""
CREATE SCHEMA IF NOT EXISTS funnel;
CREATE TABLE IF NOT EXISTS funnel.position (id text NOT NULL, format integer NOT NULL, events bigint NOT NULL,
                              changes bigint NOT NULL, last text);
CREATE TABLE IF NOT EXISTS funnel.done (name text PRIMARY KEY, sum text NOT NULL,
                              until double precision NOT NULL);
CREATE INDEX IF NOT EXISTS done_until ON funnel.done (until);
CREATE TABLE IF NOT EXISTS funnel.events (number bigint PRIMARY KEY, "user" text NOT NULL, item text NOT NULL,
                            time bigint NOT NULL, seen double precision NOT NULL, kind text,
                            value double precision, answer text);
CREATE INDEX IF NOT EXISTS events_of ON funnel.events ("user", number);
CREATE TABLE IF NOT EXISTS funnel.items (id text PRIMARY KEY, item text, deleted boolean NOT NULL,
                           time double precision NOT NULL, number bigint NOT NULL);
CREATE INDEX IF NOT EXISTS items_after ON funnel.items (number);
CREATE TABLE IF NOT EXISTS funnel.patches (id text NOT NULL, name text NOT NULL, value text NOT NULL,
                             time double precision NOT NULL, number bigint NOT NULL, PRIMARY KEY (id, name));
CREATE INDEX IF NOT EXISTS patches_after ON funnel.patches (number);
CREATE TABLE IF NOT EXISTS funnel.forgotten ("user" text PRIMARY KEY, time double precision NOT NULL,
                               number bigint NOT NULL);
CREATE TABLE IF NOT EXISTS funnel.impressions (number bigserial PRIMARY KEY, "user" text NOT NULL,
                                 item text NOT NULL, time bigint NOT NULL, seen double precision NOT NULL);
CREATE INDEX IF NOT EXISTS impressions_of ON funnel.impressions ("user", time);
INSERT INTO funnel.position SELECT gen_random_uuid()::text, {FORMAT}, 0, 0
    WHERE NOT EXISTS (SELECT FROM funnel.position);
"""


def text(value: str) -> str:
    """An id as a column holds it: no text of PostgreSQL has a zero in it.

    >>> print(text("a" + chr(0) + "b"))
    a\\0b
    """
    return value.replace("\\", "\\\\").replace("\0", "\\0") if "\\" in value or "\0" in value else value


def meant(value: str) -> str:
    """The id of a column."""
    if "\\" not in value:
        return value
    return "\\".join(part.replace("\\0", "\0") for part in value.split("\\\\"))
