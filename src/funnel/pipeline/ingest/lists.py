"""Answers as lists that were shown, an hour a file, with what came of each item, without a click too; beside
them what was known at the requests of other answers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from funnel.data import Column, Schema
from funnel.data.ingested import REQUESTS
from funnel.impressions import Impression, JoinFigures, read
from funnel.impressions.files import HOUR, hour_text
from funnel.impressions.join import Joiner
from funnel.impressions.reader import files_of, hours_in
from funnel.pipeline.ingest.events import EventFile, event_files, feedback
from funnel.pipeline.ingest.files import about, write_whole

#: What the files are made by: another number, and all hours that are still in the log are made again.
_FORMAT = 2

#: Calls of `Live` whose answers are lists that a user chose from; neighbours of an item are another thing.
_CALLS = ("recommend", "rank")

_TOGETHER, _INPUTS = 20_000, "funnel.inputs"

_REQUEST = {"request_id": pa.string(), "user_id": pa.string(), "time": pa.int64()}
_LIST = _REQUEST | {
    "item_id": pa.string(), "position": pa.int32(), "clicked": pa.bool_(), "propensity": pa.float64(),
}  # fmt: skip


@dataclass
class ListFigures:
    """hours: that were written, the others being as before. lists, rows: in them. nobody: answers without a
    user, and neighbours: of `similar`; neither is a list, and of both the context alone is written. joined:
    what came of the lists."""

    hours: int = 0
    lists: int = 0
    rows: int = 0
    nobody: int = 0
    neighbours: int = 0
    joined: JoinFigures = field(default_factory=JoinFigures)


@dataclass(frozen=True)
class ListWriter:
    """answers: the log. folder: of what is ingested. window: seconds. clicks: see `Joiner`. before: the
    moment up to which the log is removed: an hour of it may be there in part."""

    answers: Path
    folder: Path
    schema: Schema
    window: int
    clicks: Collection[str] | None
    before: float
    figures: ListFigures = field(default_factory=ListFigures)

    def write(self) -> ListFigures:
        """Make each hour whose answers or events have changed. Raises: DataError, OSError."""
        for hour in hours_in(self.answers):
            target = self.folder / "impressions" / f"{hour_text(hour)}.parquet"
            inputs = self._inputs(hour)
            if about(target, _INPUTS) != inputs:
                self._write_hour(hour, target, inputs)
        return self.figures

    @cached_property
    def _events(self) -> list[EventFile]:
        return event_files(self.folder / "events")

    def _inputs(self, hour: int) -> str:
        """A digest of all that an hour's file is made from."""
        files = [(path.name, path.stat().st_size) for path in files_of(self.answers, hour)]
        end = hour + HOUR + self.window
        events = [
            (file.path.name, file.path.stat().st_size) for file in self._events if file.may_come(hour, end)
        ]
        clicks = None if self.clicks is None else sorted(self.clicks)
        columns = [column.name for column in self._context()]
        whole = json.dumps([_FORMAT, files, events, self.window, clicks, columns])
        return hashlib.sha256(whole.encode()).hexdigest()

    def _write_hour(self, hour: int, target: Path, inputs: str) -> None:
        if self._context():
            requests = self.folder / REQUESTS / target.name
            write_whole(requests, self._form(_REQUEST), self._batches(hour, self._request, requests))
        events = feedback(self._events, hour, hour + HOUR + self.window)
        joiner = Joiner(events, self.window, self.clicks)
        lists = self._batches(hour, partial(self._list, joiner), target)
        rows = write_whole(target, self._form(_LIST), lists, {_INPUTS: inputs})
        self.figures.hours += 1
        self.figures.rows += rows
        self.figures.joined.add(joiner.figures)

    def _batches(
        self, hour: int, rows: Callable[[Impression], list[dict[str, Any]]], target: Path
    ) -> Iterator[list[dict[str, Any]]]:
        """What is in the log, and where that may have been removed in part what was written before."""
        batch: list[dict[str, Any]] = []
        there: set[str] = set()
        goes = hour + HOUR <= self.before and target.exists()
        for impression in read(self.answers, hour, hour + HOUR):
            if goes:
                there.add(impression.id)
            batch += rows(impression)
            if len(batch) >= _TOGETHER:
                yield batch
                batch = []
        yield batch
        if goes:
            yield [row for row in pq.read_table(target).to_pylist() if row["request_id"] not in there]

    def _list(self, joiner: Joiner, impression: Impression) -> list[dict[str, Any]]:
        self.figures.nobody += impression.user is None
        self.figures.neighbours += impression.call == "similar"
        if not _is_list(impression):
            return []
        self.figures.lists += 1
        context = self._known(impression)
        return [
            {
                "request_id": row["request_id"],
                "user_id": str(row["user_id"]),
                "item_id": str(row["item_id"]),
                "time": int(row["time"]),
                "position": row["position"],
                "clicked": row["clicked"],
                "propensity": row["propensity"],
                **context,
            }
            for row in joiner.rows(impression)
        ]

    def _request(self, impression: Impression) -> list[dict[str, Any]]:
        """What events that name an answer have of it that is no list."""
        if _is_list(impression) or not impression.context:
            return []
        user = None if impression.user is None else str(impression.user)
        keys = {"request_id": impression.id, "user_id": user, "time": int(impression.time)}
        return [keys | self._known(impression)]

    def _known(self, impression: Impression) -> dict[str, Any]:
        given = impression.context
        return {column.name: _value(column, given.get(column.name)) for column in self._context()}

    def _context(self) -> list[Column]:
        """What is known at the moment of a request, by the schema."""
        return [column for column in self.schema.context if column.name != "propensity"]

    def _form(self, keys: dict[str, pa.DataType]) -> pa.Schema:
        return pa.schema([*keys.items(), *((column.name, _type(column)) for column in self._context())])


def _is_list(impression: Impression) -> bool:
    return impression.user is not None and impression.call in _CALLS


def _type(column: Column) -> pa.DataType:
    if column.kind == "multi_category":
        return pa.list_(pa.string())
    if column.kind == "vector":
        return pa.list_(pa.float64())
    return {"number": pa.float64(), "boolean": pa.bool_()}.get(column.kind, pa.string())


def _value(column: Column, value: Any) -> Any:
    """A value of a context, which `Live` has checked, in the column's type; None where it cannot be."""
    try:
        match column.kind:
            case "number":
                return None if value is None else float(value)
            case "boolean":
                return value if isinstance(value, bool) else None
            case "multi_category":
                parts = [value] if isinstance(value, str) else value or []
                return [str(part) for part in parts] or None
            case "vector":
                return None if value is None else [float(part) for part in value]
        return None if value is None else str(value)
    except (TypeError, ValueError):
        return None
