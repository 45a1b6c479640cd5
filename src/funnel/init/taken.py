"""The role of each file, with what was concluded on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from funnel.data.schema import TableName
from funnel.init.findings import Conclusion, Sure, Unused
from funnel.init.keys import Keyed


@dataclass
class Roles:
    """The tables by their roles; keys: of each, the column of the file by key."""

    tables: dict[TableName, Keyed] = field(default_factory=dict)
    keys: dict[TableName, dict[str, str]] = field(default_factory=dict)
    findings: list[Conclusion] = field(default_factory=list)
    unused: list[Unused] = field(default_factory=list)
    #: Of a table that is taken out of another one's file, its columns.
    only: dict[TableName, tuple[str, ...]] = field(default_factory=dict)

    def take(self, table: TableName, keyed: Keyed, keys: Mapping[str, str], because: str, sure: Sure) -> None:
        """Give a file the role of a table, and note the reason."""
        self.tables[table], self.keys[table] = keyed, dict(keys)
        self.findings.append(Conclusion(where=str(keyed.sample), what=table, because=because, sure=sure))
