"""What `benchmarks.plan` is fed with, measured on a bundle: results/plan-measured.json.

    python -m benchmarks.plan_measure --indexes /data/million/indexes

Processor time of one thread, so that what else runs on the machine is not counted. Parts of a search are
timed each by itself and fitted by least squares; how requests vary, and which lists they probe, is that of
the bundle's users. Bytes are those of the bundle's files.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import typer

from benchmarks.serving import RESULTS, save
from funnel import Live
from funnel.artifacts import Store
from funnel.bundle.contents import Contents, load_contents
from funnel.index import FaissIndex, IndexConfig
from funnel.index.auto import inverted_lists
from funnel.index.parameters import layers, lists
from funnel.serving.request import of_users
from funnel.types import Float32

#: Files of a bundle whose size goes with the number of events, and not of items.
_BY_EVENTS = ("covisitation.items", "covisitation.weights", "transitions.items", "transitions.weights",
              "events.moments", "events.times", "history_items", "history_times")  # fmt: skip
#: Slices of the items that the growth of codes is read from.
_PARTS = (32, 8, 2, 1)
_SHARES = (0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 1.0)


def clock(call: Callable[[Any], Any], arguments: Sequence[Any]) -> list[float]:
    """Processor seconds of this thread for each call."""
    taken = []
    for argument in arguments:
        start = time.thread_time()
        call(argument)
        taken.append(time.thread_time() - start)
    return taken


def bytes_of(folder: Path, items: int, events: int) -> tuple[dict[str, float], float]:
    """Bytes an item of each part but the vectors, and bytes an event."""
    parts: dict[str, float] = {}
    of_events = 0.0
    for path in folder.rglob("*"):
        if not path.is_file() or path.parent.name == "holdout":
            continue
        size = path.stat().st_size
        name = path.relative_to(folder).parts[0]
        if any(path.name == f"{one}.npy" for one in _BY_EVENTS):
            of_events += size
        elif path.name == "item_vectors.npy":
            continue
        elif name in ("index", "items", "statistics", "towers"):
            known = {"ids.npy": "ids", "item_ids.npy": "ids", "columns.arrow": "columns"}
            part = known.get(path.name, name if path.parent == folder / name else path.parent.name)
            parts[part] = parts.get(part, 0.0) + size
    return {part: round(size / items, 3) for part, size in sorted(parts.items())}, round(
        of_events / events, 1
    )


def search_of(index: FaissIndex, queries: Float32) -> dict[str, Any]:
    """Microseconds of the parts of a search: see `benchmarks.plan_model.Search`."""
    inner = list(layers(index._held.first))[-1]
    n_lists, k = lists(inner), index.info.recall_k
    ones = [queries[row : row + 1] for row in range(len(queries))]
    for one in ones[:50]:
        index.search(one, k)
    centre = np.median(clock(lambda one: inner.quantizer.search(one, 1), ones)) * 1e6 / n_lists
    rows, times = [], []
    for probes in (1, 8, 33, 100, 250):
        for factor in (1, 2, 4, 8):
            params = {"nprobe": probes, "k_factor": factor}
            took = np.median(clock(lambda one, p=params: index.search(one, k, params=p), ones)) * 1e6
            rows.append([1.0, index.size * probes / n_lists, k * factor])
            times.append(took - centre * n_lists)
    fitted, *_ = np.linalg.lstsq(np.array(rows), np.array(times), rcond=None)
    found = {"start": fitted[0], "centre": centre, "code": fitted[1], "candidate": fitted[2]}
    off = np.abs(np.array(rows) @ fitted + centre * n_lists - (np.array(times) + centre * n_lists))
    about = {"k": k, "k_factor": index.info.params["k_factor"], "probes": index.info.params["nprobe"]}
    return {
        **{name: float(f"{value:.6g}") for name, value in found.items()},
        **about,
        "items": index.size,
        "fit_error_us": {"median": round(float(np.median(off)), 1), "most": round(float(off.max()), 1)},
    }


def growth_of(contents: Contents, queries: Float32, seed: int) -> dict[str, Any]:
    """How the codes that are scanned at one recall grow with the items, as their power: slices of the items
    by chance, each with an index of its own, and the whole.

    Of a smaller catalogue the same number of results is a larger share, so that less is scanned an item.
    """
    info, rng, points = contents.index.info, np.random.default_rng(seed), []  # type: ignore[attr-defined]
    for part in _PARTS:
        rows = np.sort(rng.choice(info.size, info.size // part, replace=False))
        config = IndexConfig(
            spec=f"IVF{inverted_lists(len(rows))},PQ{info.dimension}x4fs", recall=info.recall_goal
        )
        index = FaissIndex.build(contents.vectors[rows], config, queries) if part > 1 else contents.index
        assert isinstance(index, FaissIndex)
        lists = inverted_lists(index.size)
        points.append(
            [
                index.size,
                round(index.size * index.info.params["nprobe"] / lists),
                index.info.params["k_factor"],
            ]
        )
    power = np.polyfit(*np.log(np.array(points, dtype=float)[:, :2].T), 1)[0]
    return {"growth": round(float(power), 3), "growth_points": points}


def probes_of(index: FaissIndex, queries: Float32) -> list[int]:
    """How often each list is probed, falling."""
    inner = list(layers(index._held.first))[-1]
    _, probed = inner.quantizer.search(queries, index.info.params["nprobe"])
    return np.sort(np.bincount(probed.ravel(), minlength=lists(inner)))[::-1].tolist()


def requests_of(store: Path, n: int, seed: int) -> list[float]:
    """Seconds of `Live.recommend` for users by chance."""
    with_live = Live(store, impressions=False)
    users = with_live.contents.users.ids.values
    drawn = users[np.random.default_rng(seed).integers(len(users), size=n + 200)].tolist()
    for user in drawn[:200]:
        with_live.recommend(user)
    taken = clock(with_live.recommend, drawn[200:])
    with_live.close()
    return taken


def built_again(contents: Contents) -> float:
    """Processor seconds an item of training the quantiser and filling an index."""
    start = time.process_time()
    FaissIndex.untuned(contents.vectors, IndexConfig(spec=contents.index.spec))
    return (time.process_time() - start) / len(contents.vectors)


def main(
    indexes: Annotated[Path, typer.Option(help="a store whose published bundle is measured")],
    largest: Annotated[int, typer.Option(help="items of the largest bundle that was measured")] = 10_000_000,
    requests: int = 2000,
    results: Path = RESULTS,
    seed: int = 0,
) -> None:
    """Measure and write the file."""
    store = Store(indexes)
    folder = store.path("current")
    contents = load_contents(folder)
    assert isinstance(contents.index, FaissIndex)
    some = np.random.default_rng(seed).permutation(len(contents.users.ids))[:300]
    queries = contents.queries.encode(of_users(contents, np.sort(some)))
    search = search_of(contents.index, queries)
    many = contents.queries.encode(of_users(contents, np.arange(min(5000, len(contents.users.ids)))))
    own = 1e6 * float(np.mean(clock(lambda one: contents.index.search(one, search["k"]),
                                    [queries[row : row + 1] for row in range(len(queries))])))  # fmt: skip
    taken = 1e6 * np.asarray(requests_of(indexes, requests, seed))
    n, events = len(contents.vectors), int(contents.users.history.lengths.sum())
    parts, event = bytes_of(folder, n, events)
    quantiles = np.quantile(taken, _SHARES) / taken.mean()
    runs = [json.loads(line) for line in (indexes / "RUNS.jsonl").read_text().splitlines()]
    save(
        "plan-measured",
        {
            "d": contents.vectors.shape[1],
            "items": n,
            "events": events,
            "bytes_item": parts,
            "bytes_event": event,
            "search": search | growth_of(contents, queries, seed),
            "search_mean_us": round(own, 1),
            "request_mean_us": round(float(taken.mean()), 1),
            "other": round(float(taken.mean()) - own, 1),
            "shape": [
                [share, round(float(times), 4)] for share, times in zip(_SHARES, quantiles, strict=True)
            ],
            "probes": probes_of(contents.index, many),
            "largest": largest,
            "build_cores": os.cpu_count(),
            "build": {"index": float(f"{built_again(contents):.4g}"), **_steps(runs, n)},
        },
        results,
    )


def _steps(runs: list[dict[str, Any]], items: int) -> dict[str, float]:
    """Seconds an item of the steps of the last run, by the clock."""
    of_last = [one for one in runs if one["run"] == runs[-1]["run"] and one["event"] == "ended"]
    return {f"step {one['step']}": float(f"{one['seconds'] / items:.3g}") for one in of_last}


if __name__ == "__main__":
    typer.run(main)
