"""`funnel ingest`: the log of answers and the observed events become rows of the data."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from funnel.artifacts import Store
from funnel.config import Config
from funnel.data import EventsConfig, Schema
from funnel.data.files import DESCRIPTION, read_description
from funnel.data.ingested import CLICK, FOLDER
from funnel.errors import BundleError, ConfigError, DataError
from funnel.impressions import ReadFigures, answers_folder, shadow_folder
from funnel.impressions.compact import compact, remove_before
from funnel.impressions.join import INTERACTION
from funnel.impressions.reader import hours_in
from funnel.impressions.sweep import kept_from
from funnel.pipeline.ingest.events import copy_events, has_all
from funnel.pipeline.ingest.files import alone
from funnel.pipeline.ingest.forgotten import forget
from funnel.pipeline.ingest.lists import ListFigures, ListWriter
from funnel.serving.state import StateLog, open_state
from funnel.values.urls import is_url


@dataclass(frozen=True)
class Ingested:
    """What one call did. compacted: files of the log that were closed. events: that were copied. lists: see
    `ListFigures`. forgotten: rows that were removed of people. removed: files of the log that were older than
    is kept."""

    compacted: ReadFigures
    events: int
    lists: ListFigures
    forgotten: int
    removed: int


def ingest(
    config: Config,
    store: Store,
    state: StateLog | str | Path | None = None,
    *,
    clock: Callable[[], float] = time.time,
) -> Ingested:
    """Compact the closed hours of a store's log of answers, and bring observed events and shown lists into
    the folder of the config's data, in `ingested/`, which is read with its tables.

    state: as in `Live`; default what `serve.state` says, or the file in the store. Called again it does what
    is new; killed half-way, another call goes on. Nothing is lost and nothing comes twice.

    Raises: ConfigError where the data are in no folder of ours; DataError for a file that is damaged;
    BundleError where the state cannot be read, or something cannot be written.
    """
    folder = _data_folder(config)
    schema = _schema(folder)
    answers, ingested = answers_folder(store.folder.resolve()), folder / FOLDER
    log = state or config.serve.state or store.folder / "live" / "state.sqlite"
    log = open_state(log) if isinstance(log, str | Path) else log
    settings = config.impressions
    with _as_bundle_error(folder), alone(ingested):
        compacted = compact(answers)
        events = copy_events(log, ingested / "events")
        forgotten = forget(log, [answers, shadow_folder(store.folder)], ingested)
        before = kept_from(hours_in(answers), settings.keep_seconds, clock())
        clicks, window = _clicks(config.events), settings.window_seconds
        lists = ListWriter(answers, ingested, schema, window, clicks, before).write()
        removed = remove_before(answers, before) if answers.is_dir() else 0
    log.close()
    return Ingested(compacted, events, lists, forgotten, removed)


def copied_events(config: Config, state: StateLog, since: float) -> Path | None:
    """Where the events are that were copied before they went from the state; None where those and what the
    state has are not all since a moment. Raises: BundleError where the state cannot be read."""
    try:
        events = _data_folder(config) / FOLDER / "events"
    except ConfigError:  # nothing was ingested there
        return None
    return events if has_all(state, events, since) else None


def _clicks(events: EventsConfig) -> set[str] | None:
    """The kinds of events that make an item a clicked one."""
    if not events.history:
        return None
    names = {*events.history, *events.targets}
    return {CLICK, INTERACTION} if CLICK in names else {*names, INTERACTION}


def _data_folder(config: Config) -> Path:
    path, reader = config.data.path, config.data.reader
    if reader != "folder" or path is None or is_url(str(path)):
        where = "" if path is None else f" at {str(path)!r}"
        raise ConfigError(
            f"funnel ingest writes into a folder of tables, and data.reader is {reader!r}{where}: a local "
            "folder and the reader `folder` are needed. Other tables are yours to write: "
            "`funnel.join_impressions` gives the rows, see docs/impressions.md"
        )
    return Path(path).expanduser()


def _schema(folder: Path) -> Schema:
    description = read_description(folder)
    if description is None:
        raise DataError(
            f"{folder} has no {DESCRIPTION}: `funnel init {folder}` looks at the files and writes one"
        )
    return description.schema_only()


@contextmanager
def _as_bundle_error(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BundleError(f"{folder} or the log of answers cannot be written: {error}") from error
