"""Finds the role of each file: events, impressions, items, users."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from funnel.data.schema import TableName
from funnel.errors import DataError
from funnel.init import names
from funnel.init.entities import find_entities
from funnel.init.findings import Sure, Unused
from funnel.init.impressions import why_no_lists
from funnel.init.taken import Roles

if TYPE_CHECKING:
    from funnel.init.keys import Keyed


def find_roles(tables: Sequence[Keyed], given: Mapping[TableName, str]) -> Roles:
    """The role of each table. given: files by table, as the caller named them.

    Raises: DataError where no file can be the events, or a given file cannot be what it is given as.
    """
    roles = Roles()
    named = {table: _named(tables, path) for table, path in given.items()}
    rest = [keyed for keyed in tables if keyed not in named.values()]
    logs = [keyed for keyed in rest if _is_log(keyed)]
    _impressions(roles, named, logs)
    _events(roles, named, logs, tables)
    others = [keyed for keyed in rest if keyed not in roles.tables.values() and keyed not in logs]
    for table in ("items", "users"):
        find_entities(roles, table, named, others)
    for keyed in rest:
        if keyed not in roles.tables.values() and not any(u.where == str(keyed.sample) for u in roles.unused):
            roles.unused.append(Unused(where=str(keyed.sample), why=_why_nothing(keyed)))
    return roles


def _named(tables: Sequence[Keyed], path: str) -> Keyed:
    for keyed in tables:
        if path in (keyed.sample.files.path, keyed.sample.files.stem):
            return keyed
    raise DataError(
        f"--table names {path!r}, which is not there: {', '.join(str(keyed.sample) for keyed in tables)}"
    )


def _is_log(keyed: Keyed) -> bool:
    """Whether rows name users and items, and the file is not a table of either, whose key comes once."""
    if not (keyed.score("user_id") and keyed.score("item_id")):
        return False
    by_name = names.stem_is(keyed.sample.files.stem, names.LOGS | names.SHOWN)
    return (
        by_name
        or keyed.score("time") > 0.5
        or not any(keyed.unique(str(keyed.best(key))) for key in ("user_id", "item_id"))
    )


def _has_lists(keyed: Keyed) -> bool:
    """It has clicks, and lists or positions."""
    return bool(keyed.score("clicked") and (keyed.score("request_id") or keyed.score("position")))


def _log_keys(keyed: Keyed, *keys: str) -> dict[str, str]:
    return {key: name for key in keys if (name := keyed.best(key)) is not None}


def _impressions(roles: Roles, named: Mapping[TableName, Keyed], logs: Sequence[Keyed]) -> None:
    wanted = ("request_id", "user_id", "item_id", "time", "position", "clicked")
    given = named.get("impressions")
    may = [keyed for keyed in logs if _has_lists(keyed)]
    may.sort(key=lambda keyed: (-keyed.score("request_id"), -keyed.sample.rows))
    for keyed in [given] if given else may:
        keys = _log_keys(keyed, *wanted)
        lacking = [key for key in wanted if key not in keys]
        why = (
            f"it looks like impressions, but no column is {' or '.join(lacking)}"
            if lacking
            else why_no_lists(keyed)
        )
        if why is None and "impressions" in roles.tables:
            first = roles.tables["impressions"].sample
            why = f"{first} is taken as impressions; choose with --table impressions=FILE"
        if why is not None and given:
            raise DataError(f"{keyed.sample} cannot be the impressions: {why}")
        if why is not None:
            roles.unused.append(Unused(where=str(keyed.sample), why=why))
            continue
        sure: Sure = "likely" if keyed.score("request_id") > 0.5 else "unsure"
        roles.take("impressions", keyed, keys, f"it has {', '.join(keys.values())}", sure)


def _events(
    roles: Roles, named: Mapping[TableName, Keyed], logs: Sequence[Keyed], tables: Sequence[Keyed]
) -> None:
    lists = [keyed for keyed in logs if _has_lists(keyed)]
    given = named.get("events")
    may = [keyed for keyed in logs if keyed not in lists]
    may.sort(key=lambda keyed: (-names.stem_is(keyed.sample.files.stem, names.LOGS), -keyed.sample.rows))
    for keyed in [given] if given else may:
        keys = _log_keys(keyed, "user_id", "item_id", "time")
        if not {"user_id", "item_id"} <= set(keys):
            raise DataError(f"{keyed.sample} cannot be the events: {_no_keys(keyed, keys)}")
        if "events" in roles.tables:
            first = roles.tables["events"].sample
            why = f"{first} is taken as events, of which there is one table; choose with --table events=FILE"
            roles.unused.append(Unused(where=str(keyed.sample), why=why))
            continue
        sure: Sure = (
            "likely"
            if min(keyed.score("user_id"), keyed.score("item_id")) > 0.5 and len(may) == 1
            else "unsure"
        )
        roles.take("events", keyed, keys, f"it has {', '.join(keys.values())}", sure)
    if "events" in roles.tables:
        return
    clicked = roles.tables.get("impressions") or next(iter(lists), None)
    if clicked is None:
        raise DataError(_nothing(tables))
    keys = _log_keys(clicked, "user_id", "item_id", "time")
    roles.take("events", clicked, keys, "no other file has events: its clicked rows are", "likely")
    roles.unused = [
        unused
        for unused in roles.unused
        if unused.where != str(clicked.sample) or "impressions" in unused.why
    ]


def _why_nothing(keyed: Keyed) -> str:
    return f"neither a log of users and items nor a table of either: it has {_columns(keyed)}"


def _columns(keyed: Keyed) -> str:
    columns = keyed.sample.names
    return ", ".join(columns[:12]) + (" and more" if len(columns) > 12 else "")


def _no_keys(keyed: Keyed, keys: Mapping[str, str]) -> str:
    lacking = [key for key in ("user_id", "item_id") if key not in keys]
    what = " or ".join(lacking)
    return f"no column is its {what} among {_columns(keyed)}; say which with --key {lacking[0]}=COLUMN"


def _nothing(tables: Sequence[Keyed]) -> str:
    seen = "\n".join(f"  {keyed.sample}: {_columns(keyed)}" for keyed in tables)
    return (
        "no file is a log of events, in which a row names a user and an item; say which columns do with "
        "--key user_id=COLUMN --key item_id=COLUMN, and which file with --table events=FILE. What is there:\n"
        f"{seen}"
    )
