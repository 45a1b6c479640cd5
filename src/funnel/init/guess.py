"""Guesses the `schema.json` of a folder of data files."""

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
from funnel.init.event_kinds import KindsInFile
from funnel.init.findings import Conclusion, Notes, Unused
from funnel.init.forms import find_form
from funnel.init.keys import find_keys
from funnel.init.references import with_references
from funnel.init.roles import find_roles
from funnel.init.sampling import Sample, columns_of, merged, sample
from funnel.init.table_files import TableFiles, find, numbered
from funnel.init.taken import Roles
from funnel.types import Clock

_TABLES: tuple[TableName, ...] = ("events", "items", "users", "impressions")


@dataclass
class Guess:
    """The guessed schema of a folder.

    folder: where `schema.json` belongs. description: its content. rows: of each table, estimated for those in
    `sampled`, of which only parts were read. findings: each guess with its reason. unused: what the schema
    leaves out, and why. kinds: of events, where a column says them.
    """

    folder: Path
    description: Description
    rows: dict[TableName, int] = field(default_factory=dict)
    sampled: tuple[TableName, ...] = ()
    findings: list[Conclusion] = field(default_factory=list)
    unused: list[Unused] = field(default_factory=list)
    kinds: KindsInFile | None = None


def guess(
    path: Path, *, tables: Mapping[TableName, str] | None = None, keys: Mapping[str, str] | None = None
) -> Guess:
    """Guess the role of each file in a folder, or of a single file, and of each column.

    Reads up to about 24 MB of a table, from its beginning, middle and end.
    tables: given files by table, such as {"events": "log.csv"}. keys: given columns by key, such as
    {"user_id": "who"}. Raises: DataError where there is nothing to read, or no file can be events.

        guessed = guess(Path("export"), keys={"user_id": "who"})
    """
    folder, files, unused = find(Path(path))
    samples = _samples(files, unused)
    if not samples:
        seen = _listed(unused)
        raise DataError(f"{path} holds no table that can be read{':' + seen if seen else ''}")
    _check_given(samples, keys or {})
    keyed = with_references([find_keys(table, keys or {}) for table in samples])
    try:
        roles = find_roles(keyed, tables or {})
    except DataError as error:  # what is missing may be in a file that could not be read
        seen = _listed(unused)
        raise DataError(f"{error}" + (f"\nnot read:{seen}" if seen else "")) from error
    notes = Notes(roles.findings, [*unused, *roles.unused])
    guessed = Guess(folder, Description())
    _describe(guessed, roles, notes)
    guessed.findings, guessed.unused, guessed.kinds = notes.findings, notes.unused, notes.kinds
    return guessed


def _listed(unused: list[Unused]) -> str:
    """One line for each file."""
    return "".join(f"\n  {entry.where}: {entry.why}" for entry in unused)


def _check_given(samples: list[Sample], keys: Mapping[str, str]) -> None:
    for key, column in keys.items():
        if not any(column in table.frame for table in samples):
            have = "; ".join(f"{table}: {', '.join(map(str, table.frame.columns))}" for table in samples)
            raise DataError(f"--key {key}={column}: no file has a column {column!r}; there are {have}")


def _samples(files: list[TableFiles], unused: list[Unused]) -> list[Sample]:
    """A sample a table; files whose names differ by a number are one table where their columns agree."""
    samples: list[Sample] = []
    groups: dict[tuple[str, frozenset[str]], list[Sample]] = {}
    for entry in files:
        try:
            table = sample(entry)
            _check_parts(entry)
        except DataError as error:
            unused.append(Unused(where=entry.path, why=str(error)))
            continue
        pattern = numbered(entry.path) if entry.parts[0].name == entry.path else None
        if pattern is None:
            samples.append(table)
        else:
            groups.setdefault((pattern[1], frozenset(map(str, table.frame))), []).append(table)
    for (pattern_, _), members in groups.items():
        alone = len(members) == 1 or sum(name == pattern_ for name, _ in groups) > 1
        samples += members if alone else [merged(members, pattern_)]
    return samples


def _check_parts(files: TableFiles) -> None:
    """Raises: DataError where a folder holds several tables, and not the parts of one."""
    ends = (files.parts[0], files.parts[-1])
    first, last = (set(columns_of(TableFiles(part.name, (part,)))) for part in ends)
    if len(files.parts) > 1 and len(first & last) * 2 < len(first | last):
        raise DataError(
            f"{files.path} holds several tables ({files.parts[0].name} and {files.parts[-1].name} have other "
            "columns), and not the parts of one: give that folder to `funnel init`"
        )


def _describe(guessed: Guess, roles: Roles, notes: Notes) -> None:
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
        guessed.rows[table] = keyed.sample.rows
    clock: Clock = "time" if "time" in roles.keys["events"] else "order"
    if clock == "order":
        because = "no column holds moments: the events of a user are taken in the order of the file"
        notes.findings.append(Conclusion(where="events", what="no time", because=because, sure="unsure"))
    guessed.sampled = tuple(table for table, keyed in roles.tables.items() if not keyed.sample.whole)
    guessed.description = Description(clock=clock, files=files, **columns)


def _add_described(roles: Roles) -> None:
    """Items and users without a file get the columns of events that describe them."""
    events, keys = roles.tables["events"], roles.keys["events"]
    taken = {*keys.values(), *(roles.keys.get("impressions", {}).values())}
    described: tuple[tuple[TableName, str], ...] = (("items", "item_id"), ("users", "user_id"))
    for table, key in described:
        if table in roles.tables or events.best("clicked"):
            continue
        if described_by := describing(events, keys[key], taken):
            because = (
                f"no file has them, and these columns of events describe them: {', '.join(described_by)}"
            )
            roles.take(table, events, {key: keys[key]}, because, "unsure")
            roles.only[table] = described_by
            taken |= set(described_by)


def _names(roles: Roles, table: TableName) -> list[str]:
    """The columns of the file that are this table's: a file may be two tables."""
    keyed = roles.tables[table]
    if table in roles.only:
        return list(roles.only[table])
    others = {name for columns in roles.only.values() for name in columns} if table == "events" else set()
    if table == "events" and keyed is roles.tables.get("impressions"):
        others |= set(roles.keys["impressions"].values())
    return [name for name in keyed.sample.names if name not in others]
