"""A long table that several processes read, each some of its rows."""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable

from funnel.data.batches import Batches, RowsPart
from funnel.data.columnar.collect import KeyDictionary
from funnel.data.columnar.table import IDS
from funnel.data.reading_batches import NotByBatch
from funnel.data.schema import Schema, TableName
from funnel.data.table_builder import CollectedRows, TableBuilder
from funnel.errors import DataError
from funnel.recipes import Recipe, each, workers
from funnel.types import Clock

log = logging.getLogger(__name__)


def add_rows(builder: TableBuilder, batches: Batches) -> None:
    """Add every batch; where there are workers these read and check the parts, and what they have is put
    together in the parts' order, so that the table is the same.

    A part that a worker refuses is read once more here, which says what is wrong with its row among all.
    Raises: DataError for the first value that is wrong.
    """
    if workers() is None or len(batches.parts) < 2:
        builder.add_all(batches)
        return
    read = each(Recipe(part_reader, *builder.about), batches.parts)
    unseen: set[str] = set()
    for part, rows in zip(batches.parts, read, strict=True):
        if isinstance(rows, _Unseen) and rows.host not in unseen:
            unseen.add(rows.host)
            log.warning(
                "%s does not see %s as it is here: what it should read is read by this process; put the data "
                "on storage that all machines have under the same name", rows.host, rows.path,
            )  # fmt: skip
        if not isinstance(rows, CollectedRows) or not builder.add_collected(rows):
            for batch in part.frames(builder.rows):
                builder.add(batch)
    if builder.rows == 0:
        builder.add_all(batches)
    builder.check_gaps()


class _Unseen:
    """A file that a machine does not see."""

    def __init__(self, path: str) -> None:
        self.path, self.host = path, platform.node()


def part_reader(
    schema: Schema, table: TableName, clock: Clock
) -> Callable[[RowsPart], CollectedRows | _Unseen | None]:
    """What a worker does with a part: None where it holds what is wrong, or cannot be read by itself."""

    def read(part: RowsPart) -> CollectedRows | _Unseen | None:
        if missing := part.missing():
            return _Unseen(missing)
        builder = TableBuilder(schema, table, clock, {key: KeyDictionary() for key in IDS})
        try:
            builder.add_all(part.frames(0))
        except (DataError, NotByBatch):
            return None
        return builder.collected()

    return read
