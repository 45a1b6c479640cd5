"""The state of an experiment, from a store's log of answers and the events that were observed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
from pyarrow.parquet import ParquetDataset

from funnel.artifacts import Store
from funnel.errors import BundleError, ConfigError, DataError
from funnel.experiments.interleaving import INTERLEAVED
from funnel.experiments.judging import Judgement, judge
from funnel.experiments.metrics import LiveMetric
from funnel.experiments.preferring import TeamClicks, judge_preference, team_clicks
from funnel.experiments.running import StartedExperiment, running, started_once, stopped_at
from funnel.experiments.sums import DAY, UserSums, sums_of
from funnel.impressions import answers_folder, read
from funnel.impressions.join import SKEW, Joiner
from funnel.serving.shadow import shadows_of
from funnel.serving.state import Event, StateLog, open_state
from funnel.serving.state.retention import kept
from funnel.values.ids import written

#: Users whose events are read together, and events of each: all that are kept.
_TOGETHER, _EVERY = 1_000, 2**62

_COLUMNS = ["user_id", "item_id", "time", "kind", "value", "answer"]


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
    Parquet files, with columns user_id, item_id, time in seconds, kind, and value where there are any; of an
    interleaving experiment, and where the data have no clock (time 0), also answer, that showed the item.
    now: seconds, default the clock's.
    Raises: ConfigError where there was no experiment of this name; DataError for a file that cannot be read,
    and where shares move, no `events` are given and the state has lost some of the experiment; BundleError
    where the state cannot be read.
    """
    started = known_experiment(folder, name)
    until = min(time.time() if now is None else now, stopped_at(folder, name))
    elapsed = (until - started.at) / DAY
    if started.config.kind == "interleaving":
        clicks = _team_clicks(folder, name, started, state, events)
        return judge_preference(name, started.config, clicks, elapsed)
    sums = sums_of_store(folder, name, started, state=state, events=events)
    judgement = judge(name, started.config, sums, elapsed)
    return judgement.model_copy(update={"shadows": shadows_of(folder, name)})


def known_experiment(folder: Path, name: str) -> StartedExperiment:
    """One that runs or ran. Raises: ConfigError."""
    with suppress(BundleError):  # what is damaged runs nothing: the history says what did
        if name in (now := running(folder).experiments):
            return now[name]
    started = started_once(folder, name)
    if started is None:
        there = ", ".join(sorted(running(folder).experiments)) or "none"
        raise ConfigError(f"{folder} knows no experiment {name!r}; running: {there}")
    return started


def sums_of_store(
    folder: Path,
    name: str,
    started: StartedExperiment,
    *,
    state: StateLog | str | Path | None = None,
    events: Path | None = None,
) -> UserSums:
    """What an experiment's users did, from the log of answers and the state; see `judged`."""
    config, log = started.config, _opened(folder, state)
    before = config.days * DAY
    if events is None and config.weights == "thompson":
        _check_has_all(folder, name, started.at)
    further = None if events is None else _file(events, started.at - before)

    def known(users: list[str]) -> pd.DataFrame:
        observed = _observed(log, users)
        if further is None:
            return observed
        both = pd.concat([further, observed], ignore_index=True)
        named = both["answer"].where(both["time"] == 0)  # without a clock nothing else tells two apart
        return both[~both.assign(named=named).duplicated([*_COLUMNS[:4], "named"])]

    answers = read(answers_folder(folder), started.at - before)
    shares = started.shares if config.weights == "thompson" else ()
    return sums_of(name, config.served, started.at, answers, known, before, shares)


def _team_clicks(
    folder: Path,
    name: str,
    started: StartedExperiment,
    state: StateLog | str | Path | None,
    events: Path | None,
) -> TeamClicks:
    """Clicks on interleaved lists, which name the list's answer."""
    log, metric = _opened(folder, state), LiveMetric.parse(started.config.metric)
    mixed = [
        answer
        for answer in read(answers_folder(folder), started.at - SKEW)
        if answer.teams and answer.arms.get(name) == INTERLEAVED
    ]
    users = list(dict.fromkeys(text for answer in mixed if (text := written(answer.user)) is not None))
    further = [] if events is None else _named(events, started.at - SKEW)
    joiner = Joiner([*further, *_events(log, users)])
    return team_clicks(name, metric, started.at, ((answer, joiner.rows(answer)) for answer in mixed))


def _check_has_all(folder: Path, name: str, since: float) -> None:
    """Raises: DataError where events of `since` or later have left the state. Who was in an arm then would
    count as having earned nothing, and shares would follow that."""
    bounds = kept(Store(folder))
    if bounds is not None and bounds.since > since:
        left = datetime.fromtimestamp(bounds.since, UTC).isoformat(sep=" ", timespec="minutes")
        raise DataError(
            f"events of before {left[:16]} UTC have left the state, since the data of the published bundles "
            f"have them, and the experiment {name!r} began before: give them back as a file (`events`)"
        )


def _opened(folder: Path, state: StateLog | str | Path | None) -> StateLog:
    where = folder / "live" / "state.sqlite" if state is None else state
    return open_state(where) if isinstance(where, str | Path) else where


def _events(state: StateLog, users: Sequence[str]) -> Iterator[Event]:
    """What the state keeps of these users, in writing."""
    for begin in range(0, len(users), _TOGETHER):
        for recent in state.events_of_each(users[begin : begin + _TOGETHER], _EVERY):
            yield from recent


def _observed(state: StateLog, users: Sequence[str]) -> pd.DataFrame:
    """What the state keeps of these users, in writing."""
    frame = pd.DataFrame(list(_events(state, users)), columns=_COLUMNS)
    return frame.astype({"user_id": "str", "item_id": "str", "time": "float64", "value": "float64"})


def _file(path: Path, since: float) -> pd.DataFrame:
    """Events of a file from a moment on, and those without a time. Raises: DataError."""
    try:
        if path.suffix == ".csv":
            frame = pd.read_csv(path)
        else:
            wanted: list[list[tuple[str, str, Any]]] = [[("time", ">=", since)], [("time", "=", 0)]]
            is_timed = "time" in ParquetDataset(path).schema.names
            frame = pd.read_parquet(path, filters=wanted if is_timed else None)
    except Exception as error:  # of pandas or pyarrow: many kinds
        raise DataError(f"{path} cannot be read as events: {error}") from error
    if missing := [name for name in _COLUMNS[:4] if name not in frame]:
        raise DataError(f"{path} has no column {missing[0]!r}; there are: {', '.join(map(str, frame))}")
    if "value" not in frame:
        frame["value"] = float("nan")
    for name in ("user_id", "item_id"):
        frame[name] = [written(value) or "" for value in frame[name]]
    return frame.reindex(columns=_COLUMNS)


def _named(path: Path, since: float) -> list[Event]:
    """Those that name an answer. Raises: DataError."""
    frame = _file(path, since)
    frame = frame[frame["answer"].notna()]
    columns = (frame[name].tolist() for name in _COLUMNS)
    return [
        Event(user, item, int(at), None if kind != kind else kind, None if value != value else value, answer)
        for user, item, at, kind, value, answer in zip(*columns, strict=True)
    ]
