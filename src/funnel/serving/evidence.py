"""The state of an experiment, from a store's log of answers and the events that were observed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pyarrow.parquet import ParquetDataset

from funnel.artifacts import Store
from funnel.errors import BundleError, ConfigError, DataError
from funnel.experiments.decision import without_its_start
from funnel.experiments.interleaving import INTERLEAVED
from funnel.experiments.judging import Judgement, judge
from funnel.experiments.metrics import LiveMetric
from funnel.experiments.preferring import TeamClicks, judge_preference, team_clicks
from funnel.experiments.running import StartedExperiment, running, started_once, stopped_at
from funnel.experiments.sums import DAY, UserSums, sums_of
from funnel.impressions import answers_folder, read
from funnel.impressions.join import SKEW, Joiner
from funnel.impressions.removal import removed_until
from funnel.serving.feedback import window_of
from funnel.serving.shadow import shadows_of
from funnel.serving.state import Event, StateLog, open_state
from funnel.serving.state.retention import kept
from funnel.serving.state.sqlite import MOST_OF_USER
from funnel.values.ids import written
from funnel.values.shown import shown
from funnel.values.times import END_OF_SECONDS, seconds

#: Users whose events are read together, and events of each: all that are kept.
_TOGETHER, _EVERY = 1_000, 2**62

#: The share of users some of whose events are gone up to which an experiment is judged: those are its most
#: active ones, of whom the newest are kept in either arm. Of more of them arms would look alike.
_FEW = 0.01

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
    Where the log has lost answers since its start, `reasons` say so, and it has no winner.
    Raises: ConfigError where there was no experiment of this name; DataError for a file that cannot be read,
    and where the state has lost some of the experiment and `events` do not give it back: by its time, or,
    of more than one user in a hundred, since the newest 200 of each are kept; of fewer, `reasons` say so.
    BundleError where the state cannot be read.
    """
    started = known_experiment(folder, name)
    until = min(time.time() if now is None else now, stopped_at(folder, name))
    elapsed = (until - started.at) / DAY
    if started.config.kind == "interleaving":
        clicks = _team_clicks(folder, name, started, state, events)
        judgement = _with_lost(judge_preference(name, started.config, clicks, elapsed), clicks.lost)
        return _with_gone(judgement, folder, started)
    sums = sums_of_store(folder, name, started, state=state, events=events)
    judgement = judge(name, started.config, sums, elapsed).model_copy(
        update={"shadows": shadows_of(folder, name)}
    )
    return _with_gone(_with_lost(judgement, sums.lost), folder, started)


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
    config, log, lost = started.config, _opened(folder, state), 0
    before = config.days * DAY
    if events is None:
        _check_has_all(folder, name, started.at)
    further = None if events is None else _file(events, started.at - before)

    def known(users: list[str]) -> pd.DataFrame:
        nonlocal lost
        each = _events_of_each(log, users)
        lost = _lost(name, each, started.at, further)
        observed = _frame(each)
        if further is None:
            return observed
        both = pd.concat([further, observed], ignore_index=True)
        named = both["answer"].where(both["time"] == 0)  # without a clock nothing else tells two apart
        return both[~both.assign(named=named).duplicated([*_COLUMNS[:4], "named"])]

    answers = read(answers_folder(folder), started.at - before)
    shares = started.shares if config.weights == "thompson" else ()
    sums = sums_of(name, config.served, started.at, answers, known, before, shares)
    return replace(sums, lost=lost)


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
    if events is None:
        _check_has_all(folder, name, started.at)
    further = None if events is None else _file(events, started.at - SKEW)
    each = _events_of_each(log, users)
    known = [*([] if further is None else _named(further)), *chain.from_iterable(each)]
    joiner = Joiner(known, window_of(Store(folder)))
    clicks = team_clicks(name, metric, started.at, ((answer, joiner.rows(answer)) for answer in mixed))
    return replace(clicks, lost=_lost(name, each, started.at, further))


def _check_has_all(folder: Path, name: str, since: float) -> None:
    """Raises: DataError where events of `since` or later have left the state. Who was in an arm then would
    count as having earned nothing."""
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


def _events_of_each(state: StateLog, users: Sequence[str]) -> list[list[Event]]:
    """What the state keeps of these users, in writing."""
    chunks = (users[begin : begin + _TOGETHER] for begin in range(0, len(users), _TOGETHER))
    return [recent for chunk in chunks for recent in state.events_of_each(chunk, _EVERY)]


def _lost(name: str, each: list[list[Event]], since: float, further: pd.DataFrame | None) -> int:
    """How many users have lost events of `since` or later: they have as many as are kept, the oldest of which
    is later, and is not among the further ones, which would go on before it. Raises: DataError for more than
    a few."""
    oldest = [
        recent[0] for recent in each if len(recent) >= MOST_OF_USER and not 0 < (recent[0].time or 0) <= since
    ]
    if further is not None and oldest:
        theirs = further[further["user_id"].isin([event.user_id for event in oldest])]
        there = set(zip(theirs["user_id"], theirs["item_id"], theirs["time"], strict=True))
        oldest = [event for event in oldest if (event.user_id, event.item_id, event.time) not in there]
    if len(oldest) > _FEW * len(each):
        raise DataError(
            f"of {len(oldest):,} of {len(each):,} users of the experiment {name!r} the state may have lost "
            f"events, since it keeps the newest {MOST_OF_USER} of each: give them back as a file (`events`), "
            "such as the folder that `funnel ingest` copies them to before they go"
        )
    return len(oldest)


def _with_lost(judgement: Judgement, lost: int) -> Judgement:
    """It says where events are missing."""
    if not lost:
        return judgement
    sentence = (
        f"Of {lost:,} users the newest {MOST_OF_USER} events alone count, which is what the state keeps of "
        "each: a file (`events`) would give the others back."
    )
    return judgement.model_copy(update={"reasons": (*judgement.reasons, sentence)})


def _with_gone(judgement: Judgement, folder: Path, started: StartedExperiment) -> Judgement:
    """It says from when on it has answers, where those of its start were removed."""
    until = removed_until(answers_folder(folder))
    return judgement if until is None or until <= started.at else without_its_start(judgement, until)


def _frame(each: list[list[Event]]) -> pd.DataFrame:
    frame = pd.DataFrame(list(chain.from_iterable(each)), columns=_COLUMNS)
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
    frame["time"] = _numbers(frame["time"], path)
    frame["value"] = _numbers(frame["value"], path, may_lack=True)
    for number in np.flatnonzero(frame["time"].abs() >= END_OF_SECONDS)[:1].tolist():
        seconds(frame["time"].iloc[number].item(), f"{path}, row {number + 1}: time")  # names the unit
    for name in ("user_id", "item_id"):
        frame[name] = [written(value) or "" for value in frame[name]]
    return frame.reindex(columns=_COLUMNS)


def _numbers(column: pd.Series[Any], path: Path, *, may_lack: bool = False) -> pd.Series[Any]:
    """A column of a file as numbers. Raises: DataError naming the first row with something else."""
    numbers = pd.to_numeric(column, errors="coerce").astype("float64")
    wrong = np.flatnonzero(~np.isfinite(numbers) & ~(column.isna() & may_lack))
    if len(wrong):
        expected = "a number is" if may_lack else "seconds since 1970 are"
        value = shown(column.tolist()[wrong[0]])
        raise DataError(f"{path}, row {wrong[0] + 1}: {column.name} is {value}: {expected} expected")
    return numbers


def _named(frame: pd.DataFrame) -> list[Event]:
    """Those that name an answer."""
    frame = frame[frame["answer"].notna()]
    columns = (frame[name].tolist() for name in _COLUMNS)
    return [
        Event(user, item, int(at), None if kind != kind else kind, None if value != value else value, answer)
        for user, item, at, kind, value, answer in zip(*columns, strict=True)
    ]
