"""A data set: events, users, items and impressions as clean tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
from numpy.typing import NDArray

from funnel.data import files
from funnel.data.batches import Batches
from funnel.data.checksum import checksum
from funnel.data.columnar.columns import Rows
from funnel.data.columnar.table import Table
from funnel.data.columnar.view import FrameView, OptionalFrameView
from funnel.data.event_kinds import coded, values_of
from funnel.data.keys import as_array
from funnel.data.reading_batches import NotByBatch
from funnel.data.schema import Schema
from funnel.data.tables import GivenTables, clean
from funnel.data.vocabulary import Vocabulary, rows_in, vocabulary_of
from funnel.errors import DataError
from funnel.types import Clock, Float32, Int32, Log


class Truth(Protocol):
    """The true preferences of a synthetic world: how much each user likes each item."""

    def scores(self, users: NDArray[Any], times: NDArray[Any] | None = None) -> Float32:
        """float32 [len(users), n_items] for these user rows, at these times where they matter; higher is
        better."""
        ...

    def values(self, users: NDArray[Any], times: NDArray[Any]) -> Float32 | None:
        """What each item is expected to earn: float32 [len(users), n_items]; None where the world has no
        money."""
        ...


@dataclass(frozen=True, eq=False)
class Dataset:
    """Clean tables under a schema. Made by `from_frames` or `from_folder`, which check and repair.

    events: user_id, item_id, time (int64 seconds; the position in the user's list where clock is "order", 0
        where it is "none"), `split` where one is published, `kind` (text) and `value` (float64, at least 0)
        where they are there, declared columns. Oldest first, ties as given.
    users, items: one row an id, sorted by id; everyone and everything that an event names is there.
    impressions: request_id, user_id, item_id, time (of the list: that of its earliest row), position (int32),
        clicked (bool), declared columns, by time, then request in order of appearance, then position; None
        where nothing was logged.
    Ids are int64 or text; see `funnel.data.columns` for the form of the declared columns. Events and
    impressions are kept column by column, ids as rows of users and items, see `event_table`: `events` and
    `impressions` make a frame of all of them each time that they are read.
    notes: what had to be repaired or left out. truth: set for a synthetic world.
    """

    name: str
    schema: Schema
    events: FrameView = FrameView("event_table")  # noqa: RUF009  (a descriptor)
    users: pd.DataFrame  # type: ignore[misc]  # mypy takes a descriptor for a default
    items: pd.DataFrame  # type: ignore[misc]
    impressions: OptionalFrameView = OptionalFrameView("impression_table")  # noqa: RUF009
    clock: Clock = "time"
    notes: tuple[str, ...] = ()
    truth: Truth | None = None

    @classmethod
    def from_frames(
        cls,
        schema: Schema,
        events: pd.DataFrame,
        users: pd.DataFrame | None = None,
        items: pd.DataFrame | None = None,
        *,
        impressions: pd.DataFrame | None = None,
        clock: Clock = "time",
        name: str = "data",
        notes: Sequence[str] = (),
        truth: Truth | None = None,
    ) -> Dataset:
        """Checked, sorted and completed; the frames given are not changed.

        Repaired, with a note each: events that are in every column the same as an earlier one are dropped,
        rows of `users` or `items` that repeat an id give way to the last of them, ids that only events
        know get a row without features, columns that the schema does not know are left out, declared ones
        that are not required may be absent. Times far from all others are noted, with the first one's row.
        Raises DataError for anything else that is wrong, such as a missing id, a time that is missing,
        infinite or no number of seconds, a wrong type, an event without a kind where others have one, a
        value below 0 or none, no events at all, a table of users or items that has
        hardly any of those that events name, a list of impressions with two users or over more than a day.
        """
        lists = None if impressions is None else Batches.of(impressions)
        given = GivenTables(Batches.of(events), users, items, lists)
        return cls._cleaned(schema, given, clock=clock, name=name, notes=notes, truth=truth)

    @classmethod
    def _cleaned(
        cls,
        schema: Schema,
        given: GivenTables,
        *,
        clock: Clock,
        name: str,
        notes: Sequence[str],
        truth: Truth | None,
    ) -> Dataset:
        tables, repairs = clean(schema, given, clock)
        return cls(
            name=name,
            schema=schema,
            events=tables.events,
            users=tables.users,
            items=tables.items,
            impressions=tables.impressions,
            clock=clock,
            notes=(*notes, *repairs),
            truth=truth,
        )

    @classmethod
    def from_folder(
        cls,
        path: Path | str,
        schema: Schema | None = None,
        *,
        clock: Clock | None = None,
        name: str | None = None,
        truth: Truth | None = None,
    ) -> Dataset:
        """From `events`, `users`, `items`, `impressions`, each a .parquet or .csv file or a folder of them.

        A folder may have the ending in its name and folders in it; those of a name such as `date=2024-01-01`
        are a column, for files that do not have it. Names with a dot or an underscore in front are left out.
        Only events must be there. schema, clock and name are by default those in `schema.json`; without
        that file, the schema must be given, the clock is "time" and the name is the folder's. In a CSV
        file the values of a multi_category or vector are separated by "|". `files` in `schema.json` says
        where a table of other names and forms is, see `funnel.data.table_file`. What `funnel ingest` brought
        into the folder is read with them.
        Raises DataError as `from_frames` does, and for files that are absent, twice there or unreadable, rows
        of a CSV file with more or fewer fields than its header, and other files among the parts.
        """
        folder = Path(path)
        described = files.read_description(folder)
        if schema is None and described is None:
            raise DataError(
                f"{folder} has no {files.DESCRIPTION}, which says what the columns are: "
                f"`funnel init {folder}` looks at the files and writes one"
            )
        described = described or files.Description()
        schema, clock = schema or described.schema_only(), clock or described.clock
        name = name or described.name or folder.resolve().name

        def read(whole: bool) -> Dataset:
            notes: list[str] = []
            given = described.read(folder, schema, clock, notes, whole=whole)
            return cls._cleaned(schema, given, clock=clock, name=name, notes=notes, truth=truth)

        try:
            return read(whole=False)
        except NotByBatch:
            return read(whole=True)

    @property
    def event_table(self) -> Table:
        """The events, in the memory that they take."""
        table: Table = vars(self)["event_table"]
        return table

    @property
    def impression_table(self) -> Table | None:
        """The impressions in the same way; None where nothing was logged."""
        table: Table | None = vars(self)["impression_table"]
        return table

    def save(self, folder: Path | str) -> None:
        """As Parquet files and `schema.json`, for `from_folder`; all of it appears at once or nothing.

        Raises DataError where the folder exists and is not empty.
        """
        tables: dict[str, pd.DataFrame | Table] = {
            "events": self.event_table, "users": self.users, "items": self.items
        }  # fmt: skip
        if self.impression_table is not None:
            tables["impressions"] = self.impression_table
        description = files.Description(name=self.name, clock=self.clock, **dict(self.schema))
        files.write_folder(Path(folder), tables, description)

    @cached_property
    def user_ids(self) -> NDArray[Any]:
        """int64 or str (NumPy's StringDType) [n_users], sorted: the user of each row."""
        return as_array(self.users["user_id"])

    @cached_property
    def item_ids(self) -> NDArray[Any]:
        """int64 or str (NumPy's StringDType) [n_items], sorted: the catalogue, the item of each row."""
        return as_array(self.items["item_id"])

    @cached_property
    def user_vocabulary(self) -> Vocabulary:
        """User ids to rows."""
        return vocabulary_of(self.users["user_id"])

    @cached_property
    def item_vocabulary(self) -> Vocabulary:
        """Item ids to rows."""
        return vocabulary_of(self.items["item_id"])

    @cached_property
    def log(self) -> Log:
        """The events as row numbers, in their order; their kinds in the order of the alphabet, all alike."""
        kinds, event_kinds = coded(self.event_table)
        return Log(
            users=self.users_of(self.event_table),
            items=self.items_of(self.event_table),
            times=self.event_table.array("time"),
            n_users=len(self.users),
            n_items=len(self.items),
            clock=self.clock,
            kinds=kinds,
            values=values_of(self.event_table),
            event_kinds=event_kinds,
        )

    def users_of(self, table: Table, rows: Rows = slice(None)) -> Int32:
        """The rows of the users of some rows of events or impressions, −1 for one that is not known."""
        return rows_in(self.user_vocabulary, table, "user_id", rows)

    def items_of(self, table: Table, rows: Rows = slice(None)) -> Int32:
        """The same of items."""
        return rows_in(self.item_vocabulary, table, "item_id", rows)

    def checksum(self) -> str:
        """sha256, hex, of the tables, the schema and the clock; the name and the notes do not count."""
        tables: list[pd.DataFrame | Table | None]
        tables = [self.event_table, self.users, self.items, self.impression_table]
        return checksum(self.schema, self.clock, tables)
