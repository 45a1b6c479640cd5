"""Which tables are of users and of items: those whose keys are the ids that events name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from funnel.data.entities import LEAST_OVERLAP
from funnel.data.schema import TableName
from funnel.init import names
from funnel.init.findings import Unused
from funnel.init.keys import Keyed
from funnel.init.taken import Roles

#: Names of columns and files that say what a table without other signs is of.
_ITEM_LIKE = frozenset(
    ["title", "price", "category", "brand", "description", "stock", "genre", "genres", "image", "bid"]
)
_USER_LIKE = frozenset(
    ["country", "age", "gender", "city", "email", "birth", "signup", "segment", "plan", "language"]
)


def find_entities(
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
        if met < LEAST_OVERLAP and one.sample.whole:
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
    if not said and not (names.is_bare_id(name) and file) and met < LEAST_OVERLAP:
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
