"""Who was forgotten goes from what was ingested before as well, and from what came late into the log."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from funnel.artifacts.writing import replace_line
from funnel.impressions.erase import erase_where
from funnel.pipeline.ingest.files import write_whole
from funnel.serving.state import StateLog
from funnel.serving.state.log import digest
from funnel.values.ids import written
from funnel.values.times import AHEAD

_DONE = "FORGOTTEN.json"


def forget(state: StateLog, logs: Sequence[Path], folder: Path) -> int:
    """Remove rows of people from before they were forgotten, from logs of answers and from what was ingested
    into a folder; how many. Files are looked through when somebody was forgotten since the last time. The
    times of events are those of clocks that may be ahead, so that what seems to be from a little later goes
    too.

    Raises: BundleError where the log cannot be read; OSError where a file cannot be written.
    """
    done = _done(folder)
    new = {user: at for user, at in state.changes_after(0).forgotten if done.get(user) != at}
    if not new:
        return 0
    removed = sum(
        erase_where(log, lambda impression: _is_theirs(new, impression.user, impression.time))
        for log in logs
        if log.is_dir()
    )
    for path in sorted(folder.glob("*/[!.]*.parquet")):
        ahead = AHEAD if path.parent.name == "events" else 0
        removed += _remove(path, {user: at + ahead for user, at in new.items()})
    replace_line(folder / _DONE, json.dumps(done | new))
    return removed


def _done(folder: Path) -> dict[str, float]:
    try:
        return dict(json.loads((folder / _DONE).read_text()))
    except (OSError, ValueError):  # all of it is done again
        return {}


def _is_theirs(forgotten: Mapping[str, float], user: Any, time: float) -> bool:
    text = written(user)
    return text is not None and time < forgotten.get(digest(text), -1)


def _remove(path: Path, forgotten: Mapping[str, float]) -> int:
    users = pq.read_table(path, columns=["user_id", "time"])
    kept = [
        not _is_theirs(forgotten, user, time)
        for user, time in zip(users["user_id"].to_pylist(), users["time"].to_pylist(), strict=True)
    ]
    if all(kept):
        return 0
    table = pq.read_table(path).filter(pa.array(kept))
    metadata = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
    write_whole(path, table.schema, [table.to_pylist()], metadata)
    return kept.count(False)
