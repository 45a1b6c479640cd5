"""From a folder of foreign files to what `schema.json` says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from funnel.data.files import Description
from funnel.data.schema import Column, TableName
from funnel.data.table_file import TableFile
from funnel.errors import DataError
from funnel.init.attributes import describing
from funnel.init.columns import find_columns
from funnel.init.findings import Conclusion, Notes, Unused
from funnel.init.forms import find_form
from funnel.init.found import Found, find, numbered
from funnel.init.keys import find_keys
from funnel.init.references import with_references
from funnel.init.roles import find_roles
from funnel.init.sampling import Sample, columns_of, merged, sample
from funnel.init.taken import Roles
from funnel.types import Clock

_TABLES: tuple[TableName, ...] = ("events", "items", "users", "impressions")


@dataclass
class Guess:
    """What `init` makes of a folder.

    folder: where `schema.json` belongs. rows: of each table, estimated where only parts were looked at, which
    `sampled` names. findings: each guess, with its reason; unused: what the schema leaves out, and why.
    """

    folder: Path
    description: Description
    rows: dict[TableName, int] = field(default_factory=dict)
    sampled: tuple[TableName, ...] = ()
    findings: list[Conclusion] = field(default_factory=list)
    unused: list[Unused] = field(default_factory=list)


def guess(
    place: Path, *, tables: Mapping[TableName, str] | None = None, keys: Mapping[str, str] | None = None
) -> Guess:
    """Look at the files of a folder, or at a single one, and guess what each column is.

    Reads up to some 24 MB of a table, from its beginning, middle and end. tables: files by the table that
    they are, such as {"events": "log.csv"}; keys: columns by the key that they are: {"user_id": "who"}.
    Raises: DataError where there is nothing to read, or nothing that can be events.
    """
    folder, found, unused = find(Path(place))
    samples = _samples(found, unused)
    if not samples:
        seen = _listed(unused)
        raise DataError(f"{place} holds no table that can be read{':' + seen if seen else ''}")
    _check_told(samples, keys or {})
    keyed = with_references([find_keys(one, keys or {}) for one in samples])
    try:
        roles = find_roles(keyed, tables or {})
    except DataError as error:  # what is missing may be in a file that could not be read
        seen = _listed(unused)
        raise DataError(f"{error}" + (f"\nnot read:{seen}" if seen else "")) from error
    notes = Notes(roles.findings, [*unused, *roles.unused])
    made = Guess(folder, Description())
    _describe(made, roles, notes)
    made.findings, made.unused = notes.findings, notes.unused
    return made


def _listed(unused: list[Unused]) -> str:
    """A line a file."""
    return "".join(f"\n  {one.where}: {one.why}" for one in unused)


def _check_told(samples: list[Sample], keys: Mapping[str, str]) -> None:
    for key, column in keys.items():
        if not any(column in one.frame for one in samples):
            have = "; ".join(f"{one}: {', '.join(map(str, one.frame.columns))}" for one in samples)
            raise DataError(f"--key {key}={column}: no file has a column {column!r}; there are {have}")


def _samples(found: list[Found], unused: list[Unused]) -> list[Sample]:
    """A sample a table; files whose names differ by a number are one table where their columns agree."""
    samples: list[Sample] = []
    groups: dict[tuple[str, frozenset[str]], list[Sample]] = {}
    for one in found:
        try:
            made = sample(one)
            _check_parts(one)
        except DataError as error:
            unused.append(Unused(where=one.path, why=str(error)))
            continue
        pattern = numbered(one.path) if one.parts[0].name == one.path else None
        if pattern is None:
            samples.append(made)
        else:
            groups.setdefault((pattern[1], frozenset(map(str, made.frame))), []).append(made)
    for (pattern_, _), members in groups.items():
        alone = len(members) == 1 or sum(name == pattern_ for name, _ in groups) > 1
        samples += members if alone else [merged(members, pattern_)]
    return samples


def _check_parts(found: Found) -> None:
    """Raises: DataError where a folder holds several tables, and not the parts of one."""
    first, last = (set(columns_of(Found(part.name, (part,)))) for part in (found.parts[0], found.parts[-1]))
    if len(found.parts) > 1 and len(first & last) * 2 < len(first | last):
        raise DataError(
            f"{found.path} holds several tables ({found.parts[0].name} and {found.parts[-1].name} have other "
            "columns), and not the parts of one: give that folder to `funnel init`"
        )


def _describe(made: Guess, roles: Roles, notes: Notes) -> None:
    _add_described(roles)
    files: dict[TableName, TableFile] = {}
    columns: dict[TableName, tuple[Column, ...]] = {}
    for table in _TABLES:
        if (keyed := roles.tables.get(table)) is None:
            if table in ("users", "items"):
                notes.leave(table, f"no file is a table of {table}: they are known by id only")
            continue
        form = find_form(table, keyed, roles.keys[table], notes)
        files[table], columns[table] = find_columns(table, keyed, _names(roles, table), form, notes)
        made.rows[table] = keyed.sample.rows
    clock: Clock = "time" if "time" in roles.keys["events"] else "order"
    if clock == "order":
        because = "no column holds moments: the events of a user are taken in the order of the file"
        notes.findings.append(Conclusion(where="events", what="no time", because=because, sure="unsure"))
    made.sampled = tuple(table for table, keyed in roles.tables.items() if not keyed.sample.whole)
    made.description = Description(clock=clock, files=files, **columns)


def _add_described(roles: Roles) -> None:
    """Items and users without a file get the columns of events that describe them."""
    events, keys = roles.tables["events"], roles.keys["events"]
    taken = {*keys.values(), *(roles.keys.get("impressions", {}).values())}
    described: tuple[tuple[TableName, str], ...] = (("items", "item_id"), ("users", "user_id"))
    for table, key in described:
        if table in roles.tables or events.best("clicked"):
            continue
        if found := describing(events, keys[key], taken):
            because = f"no file has them, and these columns of events describe them: {', '.join(found)}"
            roles.take(table, events, {key: keys[key]}, because, "unsure")
            roles.only[table] = found
            taken |= set(found)


def _names(roles: Roles, table: TableName) -> list[str]:
    """The columns of the file that are this table's: a file may be two tables."""
    keyed = roles.tables[table]
    if table in roles.only:
        return list(roles.only[table])
    others = {name for found in roles.only.values() for name in found} if table == "events" else set()
    if table == "events" and keyed is roles.tables.get("impressions"):
        others |= set(roles.keys["impressions"].values())
    return [name for name in keyed.sample.names if name not in others]
