"""Who was forgotten goes from what was ingested before as well, and from what came late into the log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from funnel.pipeline.ingest.files import write_whole
from funnel.serving.forgotten import erase_all, is_theirs, not_done, set_done
from funnel.serving.state import StateLog
from funnel.values.times import AHEAD


def forget(state: StateLog, logs: Sequence[Path], folder: Path) -> int:
    """Remove rows of people from before they were forgotten, from logs of answers and from what was ingested
    into a folder; how many. Files are looked through when somebody was forgotten since the last time. The
    times of events are those of clocks that may be ahead, so that what seems to be from a little later goes
    too.

    Raises: BundleError where the log cannot be read; OSError where a file cannot be written.
    """
    new = not_done(dict(state.changes_after(0).forgotten), folder)
    if not new:
        return 0
    removed = erase_all(new, logs)
    for path in sorted(folder.glob("*/[!.]*.parquet")):
        ahead = AHEAD if path.parent.name == "events" else 0
        removed += _remove(path, {user: at + ahead for user, at in new.items()})
    set_done(new, folder)
    return removed


def _remove(path: Path, forgotten: Mapping[str, float]) -> int:
    users = pq.read_table(path, columns=["user_id", "time"])
    kept = [
        not is_theirs(forgotten, user, time)
        for user, time in zip(users["user_id"].to_pylist(), users["time"].to_pylist(), strict=True)
    ]
    if all(kept):
        return 0
    table = pq.read_table(path).filter(pa.array(kept))
    metadata = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
    write_whole(path, table.schema, [table.to_pylist()], metadata)
    return kept.count(False)
