"""Every user's list as a Parquet or CSV file, made in chunks that need not be made again."""

from __future__ import annotations

import json
import logging
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.csv import CSVWriter

from funnel.allow import Allow
from funnel.artifacts.drafts import close, locked
from funnel.artifacts.writing import changing
from funnel.catalogue.where import Where
from funnel.errors import BundleError, ConfigError
from funnel.index.checks import at_least_one
from funnel.recipes import Recipe, each
from funnel.serving import arguments
from funnel.serving.arguments import Seen
from funnel.serving.live import Live
from funnel.serving.loaded import Loaded
from funnel.serving.request import allowed, filtered, of_users
from funnel.types import Int64
from funnel.values.plain import plain

log = logging.getLogger(__name__)

#: Users that are answered together, and kept as one part.
CHUNK = 1024


def recommend_all(
    live: Live,
    output: Path | str,
    k: int = 10,
    *,
    where: Where | None = None,
    seen: Seen = None,
    context: Mapping[str, Any] | None = None,
) -> Iterator[tuple[int, int]]:
    """The best k items of every user that the bundle knows, into a file of user_id, rank (from 1), item_id
    and score, in the order of users and ranks; yields how many users are done, of how many.

    output: ends in .parquet or .csv, which says what is written. where: a filter on item columns that holds
    for everyone, see `funnel.catalogue.where`; a user for whom nothing passes has no rows. seen, context: the
    same for all, see `Live.recommend`.

    Parts are kept in `<output>.parts` until the last is there. Run again after an interruption, it goes on
    behind the last part, unless the bundle, the items, k, the filter, `seen` or the context have changed:
    then it starts anew. The file appears whole or not at all; Parquet names the bundle in its metadata. All
    users are answered from one state of the items. Memory: one chunk's candidates.

    Raises: BundleError when the file cannot be written, or another run is making it, FunnelError when k < 1,
    ConfigError when `output` is of another kind or a folder, or the filter cannot be answered; nothing is
    written then.
    """
    output = Path(output)
    if output.suffix not in (".parquet", ".csv"):
        raise ConfigError(f"output is {str(output)!r}; a file name that ends in .parquet or .csv is expected")
    if output.is_dir():
        raise ConfigError(f"{output} is a folder; the name of a file is expected")
    k = at_least_one("k", k)
    loaded, state = live.served(), live.items.state
    known = arguments.context(context, loaded.contents.context)
    allow, _ = allowed(loaded.contents, where, [known]) if where else (None, [])
    arguments.seen(seen, loaded.contents.exclude_seen, loaded.contents.kinds)  # raises for another
    excluded = loaded.contents.exclude_seen if seen is None else seen
    about = {**_about(loaded, where), "items": state, "k": k, "chunk": CHUNK, "exclude_seen": excluded}
    about |= {"context": json.dumps(plain(known), sort_keys=True)} if known else {}
    recipe = Recipe(
        _elsewhere, str(live.folder), loaded.version, state, output, k, where, seen, known,
        here=_PartWriter(live, loaded, output, k, allow, excluded, known),
        shared=True,
    )  # fmt: skip
    return _write(loaded, output, about, recipe)


def _write(loaded: Loaded, output: Path, about: dict[str, Any], recipe: Recipe) -> Iterator[tuple[int, int]]:
    """Part after part. about: what the parts are made of. recipe: what writes one, by its first user."""
    n, parts = len(loaded.contents.users.ids), _folder(output)
    with _alone(parts, output):
        with changing(output):
            _prepare(parts, about)
        done = each(recipe, range(0, n, CHUNK), threads=1)
        while (stop := _next(done, output)) is not None:
            yield stop, n
        with changing(output):
            _join(sorted(parts.glob("*.parquet")), output, loaded.version)
            shutil.rmtree(parts)


@contextmanager
def _alone(parts: Path, output: Path) -> Iterator[None]:
    """Hold the folder of the parts; the kernel lets go of it when the process ends, however it ends.

    Raises: BundleError where another run holds it, or has just ended and removed it.
    """
    with changing(output):
        parts.mkdir(parents=True, exist_ok=True)
    lock = locked(parts)
    try:
        if lock is None or not parts.is_dir() or not os.path.samestat(os.fstat(lock), parts.stat()):
            raise BundleError(
                f"{output}: another run is making lists there; wait until it has ended, or name another file"
            )
        yield
    finally:
        close(lock)


def _next(done: Iterator[int], output: Path) -> int | None:
    with changing(output):
        return next(done, None)


def _folder(output: Path) -> Path:
    """The folder of the parts of an output."""
    return output.with_name(f"{output.name}.parts")


@dataclass(frozen=True)
class _PartWriter:
    """Writes the lists of `CHUNK` users from one on, unless they are there. Returns the user behind them."""

    live: Live
    loaded: Loaded
    output: Path
    k: int
    allow: Allow | None
    excluded: Any
    context: Mapping[str, Any]

    def __call__(self, start: int) -> int:
        path, stop = _folder(self.output) / f"{start:010d}.parquet", start + CHUNK
        stop = min(stop, len(self.loaded.contents.users.ids))
        if not path.exists():
            hidden, users = path.with_name(f"{path.name}.{uuid.uuid4().hex}.new"), np.arange(start, stop)
            lists = _lists(
                self.live, self.loaded, users, self.k, self.allow, self.excluded, self.context
            )  # fmt: skip
            pq.write_table(lists, hidden)
            hidden.replace(path)
        return stop


def _elsewhere(
    folder: str,
    version: str,
    state: str,
    output: Path,
    k: int,
    where: Where | None,
    seen: Seen,
    context: Mapping[str, Any],
) -> _PartWriter:
    """What writes parts in another process. Raises: BundleError where that does not see the same state."""
    live = Live(folder, version, impressions=False)
    loaded = live.served()
    if live.items.state != state:
        raise BundleError(f"{folder}: items have changed since the lists were begun; begin anew")
    allow = allowed(loaded.contents, where, [context])[0] if where else None
    return _PartWriter(
        live, loaded, output, k, allow, loaded.contents.exclude_seen if seen is None else seen, context
    )


def _about(loaded: Loaded, where: Where | None) -> dict[str, object]:
    """What the lists are made of, in writing."""
    return {"version": loaded.version, "where": json.dumps(plain(where), sort_keys=True)}


def _prepare(parts: Path, what: dict[str, object]) -> None:
    """The folder for the parts of this work: those of another are removed from it, and it stays, as it is
    held."""
    about = parts / "about.json"
    if about.is_file() and about.read_text() == json.dumps(what):
        return
    if about.exists():
        log.warning("%s holds parts of other lists; starting anew", parts)
    for path in parts.iterdir():
        path.unlink()
    about.write_text(json.dumps(what))


def _lists(
    live: Live,
    loaded: Loaded,
    users: Int64,
    k: int,
    allow: Allow | None,
    exclude_seen: Any,
    context: Mapping[str, Any],
) -> pa.Table:
    """The lists of these users, by row: one line a place."""
    contents = loaded.contents
    ids = contents.users.ids.values[users]
    users = users[contents.users.ids.rows(ids) >= 0]  # who was forgotten has no list
    ids = contents.users.ids.values[users]
    since = [live.recent_interactions(user_id) for user_id in ids.tolist()]
    seen = ("exclude" if exclude_seen else "allow") if isinstance(exclude_seen, bool) else exclude_seen
    requests = of_users(contents, users, recent=since, seen=seen, contexts=[context] * len(users))
    requests = requests if allow is None else filtered(requests, allow)
    requests = live.on_occasion(loaded, requests, ids.tolist())
    lists = loaded.funnel(k)(requests)
    user, position = np.nonzero(lists.filled)
    return pa.table(
        {
            "user_id": ids[user],
            "rank": (position + 1).astype(np.int32),
            "item_id": contents.catalogue.ids.values[lists.items[user, position]],
            "score": lists.scores[user, position],
        }
    )


def _join(parts: list[Path], output: Path, version: str) -> None:
    """The parts one behind the other, as one file."""
    schema = pq.read_schema(parts[0]).with_metadata({"bundle": version})
    hidden = output.with_name(f"{output.name}.new")
    csv = output.suffix == ".csv"
    with CSVWriter(hidden, schema) if csv else pq.ParquetWriter(hidden, schema) as writer:
        for part in parts:
            writer.write_table(pq.read_table(part).replace_schema_metadata(schema.metadata))
    hidden.replace(output)
