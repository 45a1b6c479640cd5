"""The state of an experiment, from a store's log of answers and the events that were observed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from funnel.errors import ConfigError, DataError
from funnel.experiments.judging import Judgement, judge
from funnel.experiments.running import running, started_once, stopped_at
from funnel.experiments.sums import DAY, sums_of
from funnel.impressions import answers_folder, read
from funnel.serving.shadow import shadows_of
from funnel.serving.state import StateLog, open_state
from funnel.values.ids import written

#: Users whose events are read together, and events of each: all that are kept.
_TOGETHER, _EVERY = 1_000, 2**62

_COLUMNS = ["user_id", "item_id", "time", "kind", "value"]


def judged(
    folder: Path,
    name: str,
    *,
    state: StateLog | str | Path | None = None,
    events: Path | None = None,
    now: float | None = None,
) -> Judgement:
    """Judge an experiment of a store that runs or ran.

    folder: the store's. state: where events are observed, as `Live` has it; default the store's own file.
    events: further ones, which the state does not keep any more: a Parquet or CSV file, or a folder of
    Parquet files, with columns user_id, item_id, time in seconds, kind, and value where there are any.
    now: seconds, default the clock's.
    Raises: ConfigError where there was no experiment of this name; DataError for a file that cannot be read;
    BundleError where the state cannot be read.
    """
    started = started_once(folder, name)
    if started is None:
        there = ", ".join(sorted(running(folder).experiments)) or "none"
        raise ConfigError(f"{folder} knows no experiment {name!r}; running: {there}")
    config = started.config
    since = started.at - config.days * DAY
    where = folder / "live" / "state.sqlite" if state is None else state
    log = open_state(where) if isinstance(where, str | Path) else where
    further = None if events is None else _file(events)

    def known(users: list[str]) -> pd.DataFrame:
        observed = _observed(log, users)
        if further is None:
            return observed
        return pd.concat([further, observed], ignore_index=True).drop_duplicates(_COLUMNS[:4])

    answers = read(answers_folder(folder), since)
    sums = sums_of(name, config.served, started.at, answers, known, config.days * DAY)
    until = min(time.time() if now is None else now, stopped_at(folder, name))
    elapsed = (until - started.at) / DAY
    return judge(name, config, sums, elapsed).model_copy(update={"shadows": shadows_of(folder, name)})


def _observed(state: StateLog, users: Sequence[str]) -> pd.DataFrame:
    """What the state keeps of these users, in writing."""
    rows = []
    for begin in range(0, len(users), _TOGETHER):
        some = users[begin : begin + _TOGETHER]
        for user, recent in zip(some, state.events_of_each(some, _EVERY), strict=True):
            rows += [(user, event.item_id, event.time, event.kind, event.value) for event in recent]
    frame = pd.DataFrame(rows, columns=_COLUMNS)
    return frame.astype({"user_id": "str", "item_id": "str", "time": "float64", "value": "float64"})


def _file(path: Path) -> pd.DataFrame:
    """Events of a file. Raises: DataError."""
    try:
        read_table = pd.read_csv if path.suffix == ".csv" else pd.read_parquet
        frame = read_table(path)
    except Exception as error:  # of pandas or pyarrow: many kinds
        raise DataError(f"{path} cannot be read as events: {error}") from error
    if missing := [name for name in _COLUMNS[:4] if name not in frame]:
        raise DataError(f"{path} has no column {missing[0]!r}; there are: {', '.join(map(str, frame))}")
    if "value" not in frame:
        frame["value"] = float("nan")
    for name in ("user_id", "item_id"):
        frame[name] = [written(value) or "" for value in frame[name]]
    return frame[_COLUMNS]
