"""Everything that serving compiles, compiled ahead and kept."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from funnel.artifacts.store import Store
from funnel.compiling import kernels
from funnel.errors import FunnelError
from funnel.serving.live import Live

#: Pieces of code read and kept, by function.
Counts = dict[int, tuple[int, int]]


@dataclass(frozen=True)
class Warmed:
    """version: the bundle that was served for it. compiled: functions that were compiled now, one for each
    combination of types. kept: those that were there. folders: where they are."""

    version: str
    compiled: int
    kept: int
    folders: frozenset[Path]


def warm(store: str | Path, version: str = "current", *, since: Counts | None = None) -> Warmed:
    """Serve a copy of a bundle, in each way there is, so that later processes find all of its code.

    since: `counts` from before, for what was compiled since then; default now.
    Raises: BundleError when there is no such bundle; FunnelError when the code cannot be kept anywhere.
    """
    before = counts() if since is None else since
    folder = Store(Path(store)).path(version)
    with tempfile.TemporaryDirectory(
        prefix="funnel-warm-"
    ) as scratch:  # so that no change gets into the store
        Path(scratch, folder.name).symlink_to(folder.resolve(), target_is_directory=True)
        live = Live(scratch, folder.name, impressions=False)
        try:
            _serve(live)
        finally:
            live.close()
    return warmed(folder.name, before)


def counts() -> Counts:
    """How many pieces of code each function has read and kept until now, by its identity."""
    return {id(kernel): (len(kernel.hits), len(kernel.saved)) for kernel in kernels()}


def warmed(version: str, before: Counts) -> Warmed:
    """What was compiled since then. Raises: FunnelError when it could not be kept."""
    compiled = list(kernels())
    if unsaved := sum(kernel.unsaved for kernel in compiled):
        raise FunnelError(
            f"{unsaved} compiled functions could not be kept: neither the folder of the package nor "
            "NUMBA_CACHE_DIR can be written; run this as whoever installed funnel"
        )
    hits, saved = (
        [
            path
            for kernel in compiled
            for path in getattr(kernel, kind)[before.get(id(kernel), (0, 0))[number] :]
        ]
        for number, kind in enumerate(("hits", "saved"))
    )
    return Warmed(version, len(saved), len(hits), frozenset(path.parent for path in [*hits, *saved]))


def _serve(live: Live) -> None:
    """Requests of every kind, before and after items and events have changed."""
    contents = live.contents
    users, items = contents.users.ids.values[:3].tolist(), contents.catalogue.ids.values[:3].tolist()
    _requests(live, users, items)
    live.observe(*[(user, items[0]) for user in users])
    with suppress(FunnelError):  # the items of an older bundle do not change
        live.items.upsert(_again(live, items[-1:]))
        live.items.delete(items[:1])
    _requests(live, users, items)


def _requests(live: Live, users: list[Any], items: list[Any]) -> None:
    answer = live.recommend(users[0])
    live.recommend(None, 3, history=items, exclude=items[:1], where={"not": {"or": []}})
    live.recommend_many([*users, None], 3)
    live.recommend(users[0], 3, time=1)  # before all events: what is popular at another moment than the end
    live.rank(users[0], items)
    live.similar(items[-1], 3)
    if live.contents.ranker is not None and answer.items:
        live.explain(users[0], answer.items[0].item_id)


def _again(live: Live, items: list[Any]) -> Any:
    """Items as they are: a table."""
    catalogue = live.contents.catalogue
    return catalogue.frame.iloc[catalogue.ids.rows(items)].reset_index(drop=True).assign(item_id=items)
