"""The columns beside the keys: which of them the schema declares, and as what."""

from __future__ import annotations

from collections.abc import Collection

from funnel.data.schema import KEYS, OPTIONAL, Column, TableName
from funnel.data.table_file import TableFile
from funnel.init.findings import Conclusion, Notes
from funnel.init.keys import Keyed
from funnel.init.kinds import find_kind


def find_columns(
    table: TableName, keyed: Keyed, names: Collection[str], form: TableFile, notes: Notes
) -> tuple[TableFile, tuple[Column, ...]]:
    """The declared columns among `names`, and the form with what separates values inside their cells."""
    declared: list[Column] = []
    inside: dict[str, str] = {}
    taken = {*form.columns.values(), *form.columns, *KEYS[table], *OPTIONAL[table]}
    left = {unused.where for unused in notes.unused}
    for name in names:
        where = f"{table}.{name}"
        if name in taken or where in left:
            continue
        if not name.strip():
            notes.leave(where, "a column without a name: give it one to use it")
            continue
        kind = find_kind(name, keyed.sample.frame[name], form.decimal)
        if kind.kind is None:
            notes.leave(where, kind.why)
            continue
        declared.append(Column(name=name, kind=kind.kind, size=kind.size))
        inside |= {name: kind.inside} if kind.inside else {}
        what = kind.kind if kind.size is None else f"{kind.kind} of {kind.size}"
        notes.findings.append(Conclusion(where=where, what=what, because=kind.why, sure=kind.sure))
    return form.model_copy(update={"inside": inside}), tuple(declared)
