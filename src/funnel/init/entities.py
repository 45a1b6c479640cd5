"""Finds the tables of users and of items: those whose keys are the ids in events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from funnel.data.entities import LEAST_OVERLAP
from funnel.data.schema import TableName
from funnel.init import names
from funnel.init.findings import Unused
from funnel.init.keys import Keyed
from funnel.init.taken import Roles

#: Names of columns that tables of items, and of users, often have.
_ITEM_LIKE = frozenset(
    ["title", "price", "category", "brand", "description", "stock", "genre", "genres", "image", "bid"]
)
_USER_LIKE = frozenset(
    ["country", "age", "gender", "city", "email", "birth", "signup", "segment", "plan", "language"]
)


def find_entities(
    roles: Roles, table: Literal["items", "users"], named: Mapping[TableName, Keyed], others: Sequence[Keyed]
) -> None:
    """Give a file the role of the table of items, or of users, if one fits.

    named: tables whose files the caller gave. others: the tables without a role.
    """
    key = {"items": "item_id", "users": "user_id"}[table]
    given = named.get(table)
    may = [keyed for keyed in ([given] if given else others) if keyed not in roles.tables.values()]
    scored = []
    for keyed in may:
        for name in keyed.ids:
            score = _belongs(roles, keyed, name, table, key)
            if score > 0:
                scored.append((score, keyed.sample.rows, keyed, name))
    scored.sort(key=lambda entry: (-entry[0], -entry[1]))
    for score, _, keyed, name in scored:
        where = str(keyed.sample)
        if table in roles.tables:
            if roles.tables[table] is not keyed and score >= 1 and not _better_elsewhere(roles, keyed, table):
                why = f"{roles.tables[table].sample} is taken as {table}; choose with --table {table}=FILE"
                roles.unused.append(Unused(where=where, why=why))
            continue
        share = _share_of_ids(roles, keyed, name, key)
        if share < LEAST_OVERLAP and keyed.sample.whole:
            roles.unused.append(Unused(where=where, why=_strangers(roles, keyed, name, table, key)))
            continue
        because = f"{share:.0%} of the {table} that events name are in {name}"
        roles.take(table, keyed, {key: name}, because, "likely" if share > 0.5 and score > 1 else "unsure")


def _better_elsewhere(roles: Roles, keyed: Keyed, table: TableName) -> bool:
    """Whether the file fits the other kind of table better."""
    other: TableName = "users" if table == "items" else "items"
    key = "user_id" if other == "users" else "item_id"
    return max((_belongs(roles, keyed, name, other, key) for name in keyed.ids), default=0.0) > 1


def _belongs(roles: Roles, keyed: Keyed, name: str, table: TableName, key: str) -> float:
    """A score of a column as the key of such a table: by its name, the file's, and the ids in events."""
    other = "item_id" if key == "user_id" else "user_id"
    by_name = keyed.scores[key].get(name, 0.0)
    file = max((names.role(key, word) for word in names.words(keyed.sample.files.stem)), default=0.0)
    theirs = keyed.scores[other].get(name) or (keyed.score(other) > 0.5 and not by_name and not file)
    if theirs or not _is_key(keyed, name) or not (by_name or file or _tells(keyed, name)):
        return 0.0
    like = _ITEM_LIKE if key == "item_id" else _USER_LIKE
    columns = {word for column in keyed.sample.names for word in names.words(column)}
    share = _share_of_ids(roles, keyed, name, key)
    if not by_name and not (names.is_bare_id(name) and file) and share < LEAST_OVERLAP:
        return 0.0
    return by_name + share + (0.5 if file else 0.0) + (0.2 if columns & like else 0.0)


def _tells(keyed: Keyed, name: str) -> bool:
    """Whether equal values mean the same ids: texts do, numbers from 1 on are in every table."""
    return not keyed.ids[name].str.fullmatch(r"-?\d+").any()


def _is_key(keyed: Keyed, name: str) -> bool:
    """Whether hardly any value comes twice."""
    present = keyed.sample.frame[name].dropna()
    return len(present) > 0 and present.nunique() >= 0.9 * len(present)


def _share_of_ids(roles: Roles, keyed: Keyed, name: str, key: str) -> float:
    """The share of the ids in events that are in the column; in a sample, of the smaller set of ids."""
    events = roles.tables["events"]
    ours, theirs = events.ids[roles.keys["events"][key]], keyed.ids[name]
    shared = len(ours.intersection(theirs))
    return shared / max(min(len(ours), len(theirs)) if not keyed.sample.whole else len(ours), 1)


def _strangers(roles: Roles, keyed: Keyed, name: str, table: TableName, key: str) -> str:
    ours = roles.tables["events"].ids[roles.keys["events"][key]][0]
    return (
        f"it looks like {table}, but hardly any id of events is in {name} ({ours!r} in events, "
        f"{keyed.ids[name][0]!r} there): write the ids in the same way"
    )
