"""Which table is which: logs by what they name, users and items by whether their ids are in the logs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from funnel.data.entities import LEAST_MET
from funnel.data.schema import TableName
from funnel.errors import DataError
from funnel.init import names
from funnel.init.findings import Finding, Sure, Unused
from funnel.init.impressions import why_no_lists

if TYPE_CHECKING:
    from funnel.init.keys import Keyed

#: Names of columns and files that say what a table without other signs is of.
_ITEM_LIKE = frozenset(
    ["title", "price", "category", "brand", "description", "stock", "genre", "genres", "image", "bid"]
)
_USER_LIKE = frozenset(
    ["country", "age", "gender", "city", "email", "birth", "signup", "segment", "plan", "language"]
)


@dataclass
class Roles:
    """The tables by their roles; keys: of each, the column of the file by key."""

    tables: dict[TableName, Keyed] = field(default_factory=dict)
    keys: dict[TableName, dict[str, str]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    unused: list[Unused] = field(default_factory=list)
    #: Of a table that is taken out of another one's file, its columns.
    only: dict[TableName, tuple[str, ...]] = field(default_factory=dict)

    def take(self, table: TableName, keyed: Keyed, keys: Mapping[str, str], because: str, sure: Sure) -> None:
        """A table gets its role."""
        self.tables[table], self.keys[table] = keyed, dict(keys)
        self.findings.append(Finding(where=str(keyed.sample), what=table, because=because, sure=sure))


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
        _entities(roles, table, named, others)
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


def _entities(
    roles: Roles, table: Literal["items", "users"], named: Mapping[TableName, Keyed], others: Sequence[Keyed]
) -> None:
    key = {"items": "item_id", "users": "user_id"}[table]
    given = named.get(table)
    may = [one for one in ([given] if given else others) if one not in roles.tables.values()]
    scored = []
    for one in may:
        for name in one.ids:
            score = _belongs(roles, one, name, table, key)
            if score > 0:
                scored.append((score, one.sample.rows, one, name))
    scored.sort(key=lambda found: (-found[0], -found[1]))
    for score, _, one, name in scored:
        where = str(one.sample)
        if table in roles.tables:
            if roles.tables[table] is not one and score >= 1 and not _better_elsewhere(roles, one, table):
                why = f"{roles.tables[table].sample} is taken as {table}; choose with --table {table}=FILE"
                roles.unused.append(Unused(where=where, why=why))
            continue
        met = _met(roles, one, name, key)
        if met < LEAST_MET and one.sample.whole:
            roles.unused.append(Unused(where=where, why=_strangers(roles, one, name, table, key)))
            continue
        because = f"{met:.0%} of the {table} that events name are in {name}"
        roles.take(table, one, {key: name}, because, "likely" if met > 0.5 and score > 1 else "unsure")


def _better_elsewhere(roles: Roles, one: Keyed, table: TableName) -> bool:
    """Whether it is rather the other kind of table."""
    other: TableName = "users" if table == "items" else "items"
    key = "user_id" if other == "users" else "item_id"
    return max((_belongs(roles, one, name, other, key) for name in one.ids), default=0.0) > 1


def _belongs(roles: Roles, one: Keyed, name: str, table: TableName, key: str) -> float:
    """How much a column is the key of such a table: its name, the file's, and whether events name the ids."""
    other = "item_id" if key == "user_id" else "user_id"
    said = one.scores[key].get(name, 0.0)
    file = max((names.role(key, word) for word in names.words(one.sample.found.stem)), default=0.0)
    theirs = one.scores[other].get(name) or (one.score(other) > 0.5 and not said and not file)
    if theirs or not _is_key(one, name) or not (said or file or _tells(one, name)):
        return 0.0
    like = _ITEM_LIKE if key == "item_id" else _USER_LIKE
    columns = {word for column in one.sample.names for word in names.words(column)}
    met = _met(roles, one, name, key)
    if not said and not (names.is_bare_id(name) and file) and met < LEAST_MET:
        return 0.0
    return said + met + (0.5 if file else 0.0) + (0.2 if columns & like else 0.0)


def _tells(one: Keyed, name: str) -> bool:
    """Texts that are the same in two tables mean the same; numbers from 1 on are in every table."""
    return not one.ids[name].str.fullmatch(r"-?\d+").any()


def _is_key(one: Keyed, name: str) -> bool:
    """Hardly a value comes twice."""
    present = one.sample.frame[name].dropna()
    return len(present) > 0 and present.nunique() >= 0.9 * len(present)


def _met(roles: Roles, one: Keyed, name: str, key: str) -> float:
    """The share of the ids that events name which are in the column, or the other way round in a sample."""
    events = roles.tables["events"]
    ours, theirs = events.ids[roles.keys["events"][key]], one.ids[name]
    met = len(ours.intersection(theirs))
    return met / max(min(len(ours), len(theirs)) if not one.sample.whole else len(ours), 1)


def _strangers(roles: Roles, one: Keyed, name: str, table: TableName, key: str) -> str:
    ours = roles.tables["events"].ids[roles.keys["events"][key]][0]
    return (
        f"it looks like {table}, but hardly any id of events is in {name} ({ours!r} in events, "
        f"{one.ids[name][0]!r} there): write the ids in the same way"
    )


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
