"""Which table is which: logs by what they name, users and items by whether their ids are in the logs."""

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


def find_roles(tables: Sequence[Keyed], told: Mapping[TableName, str]) -> Roles:
    """told: the files of tables that the caller names. Raises: DataError where nothing can be the events."""
    roles = Roles()
    named = {table: _named(tables, path) for table, path in told.items()}
    rest = [one for one in tables if one not in named.values()]
    logs = [one for one in rest if _is_log(one)]
    _impressions(roles, named, logs)
    _events(roles, named, logs, tables)
    others = [one for one in rest if one not in roles.tables.values() and one not in logs]
    for table in ("items", "users"):
        find_entities(roles, table, named, others)
    for one in rest:
        if one not in roles.tables.values() and not any(u.where == str(one.sample) for u in roles.unused):
            roles.unused.append(Unused(where=str(one.sample), why=_why_nothing(one)))
    return roles


def _named(tables: Sequence[Keyed], path: str) -> Keyed:
    found = next((one for one in tables if path in (one.sample.found.path, one.sample.found.stem)), None)
    if found is None:
        raise DataError(
            f"--table names {path!r}, which is not there: {', '.join(str(one.sample) for one in tables)}"
        )
    return found


def _is_log(one: Keyed) -> bool:
    """It names users and items, and is not a table of either, whose key comes once."""
    if not (one.score("user_id") and one.score("item_id")):
        return False
    said = names.stem_is(one.sample.found.stem, names.LOGS | names.SHOWN)
    return (
        said
        or one.score("time") > 0.5
        or not any(one.unique(str(one.best(key))) for key in ("user_id", "item_id"))
    )


def _log_keys(one: Keyed, *keys: str) -> dict[str, str]:
    return {key: name for key in keys if (name := one.best(key)) is not None}


def _impressions(roles: Roles, named: Mapping[TableName, Keyed], logs: Sequence[Keyed]) -> None:
    wanted = ("request_id", "user_id", "item_id", "time", "position", "clicked")
    given = named.get("impressions")
    may = [one for one in logs if one.score("clicked") and (one.score("request_id") or one.score("position"))]
    may.sort(key=lambda one: (-one.score("request_id"), -one.sample.rows))
    for one in [given] if given else may:
        keys = _log_keys(one, *wanted)
        lacking = [key for key in wanted if key not in keys]
        why = (
            f"it looks like impressions, but no column is {' or '.join(lacking)}"
            if lacking
            else why_no_lists(one)
        )
        if why is None and "impressions" in roles.tables:
            first = roles.tables["impressions"].sample
            why = f"{first} is taken as impressions; choose with --table impressions=FILE"
        if why is not None and given:
            raise DataError(f"{one.sample} cannot be the impressions: {why}")
        if why is not None:
            roles.unused.append(Unused(where=str(one.sample), why=why))
            continue
        sure: Sure = "likely" if one.score("request_id") > 0.5 else "unsure"
        roles.take("impressions", one, keys, f"it has {', '.join(keys.values())}", sure)


def _events(
    roles: Roles, named: Mapping[TableName, Keyed], logs: Sequence[Keyed], tables: Sequence[Keyed]
) -> None:
    lists = [
        one for one in logs if one.score("clicked") and (one.score("request_id") or one.score("position"))
    ]
    given = named.get("events")
    may = [one for one in logs if one not in lists]
    may.sort(key=lambda one: (-names.stem_is(one.sample.found.stem, names.LOGS), -one.sample.rows))
    for one in [given] if given else may:
        keys = _log_keys(one, "user_id", "item_id", "time")
        if not {"user_id", "item_id"} <= set(keys):
            raise DataError(f"{one.sample} cannot be the events: {_no_keys(one, keys)}")
        if "events" in roles.tables:
            first = roles.tables["events"].sample
            why = f"{first} is taken as events, of which there is one table; choose with --table events=FILE"
            roles.unused.append(Unused(where=str(one.sample), why=why))
            continue
        sure: Sure = (
            "likely" if min(one.score("user_id"), one.score("item_id")) > 0.5 and len(may) == 1 else "unsure"
        )
        roles.take("events", one, keys, f"it has {', '.join(keys.values())}", sure)
    if "events" in roles.tables:
        return
    clicked = roles.tables.get("impressions") or next(iter(lists), None)
    if clicked is None:
        raise DataError(_nothing(tables))
    keys = _log_keys(clicked, "user_id", "item_id", "time")
    roles.take("events", clicked, keys, "no other file has events: its clicked rows are", "likely")
    roles.unused = [
        one for one in roles.unused if one.where != str(clicked.sample) or "impressions" in one.why
    ]


def _why_nothing(one: Keyed) -> str:
    return f"neither a log of users and items nor a table of either: it has {_columns(one)}"


def _columns(one: Keyed) -> str:
    found = one.sample.names
    return ", ".join(found[:12]) + (" and more" if len(found) > 12 else "")


def _no_keys(one: Keyed, keys: Mapping[str, str]) -> str:
    lacking = [key for key in ("user_id", "item_id") if key not in keys]
    what = " or ".join(lacking)
    return f"no column is its {what} among {_columns(one)}; say which with --key {lacking[0]}=COLUMN"


def _nothing(tables: Sequence[Keyed]) -> str:
    seen = "\n".join(f"  {one.sample}: {_columns(one)}" for one in tables)
    return (
        "no file is a log of events, in which a row names a user and an item; say which columns do with "
        "--key user_id=COLUMN --key item_id=COLUMN, and which file with --table events=FILE. What is there:\n"
        f"{seen}"
    )
