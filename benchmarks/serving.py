"""What the serving benchmarks share: requests of a bundle's users, and a ranker of stated size."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from funnel.bundle.contents import Contents
from funnel.errors import DataError
from funnel.evaluation import machine, versions
from funnel.evaluation.chunks import each_chunk
from funnel.features import FeaturesConfig
from funnel.ranker import Ranker, RankerConfig, TrainingLists, concatenate, training_lists
from funnel.serving.request import of_users
from funnel.stages import Filter
from funnel.types import Examples, Ragged, Requests

RESULTS = Path(__file__).parent / "results"

#: Forty columns, a third of which are the same for all candidates of a request.
FEATURES = (
    "source", "popularity", "covisitation", "transition.sum", "affinity", "number", "history", "user",
)  # fmt: skip


def pin(core: int) -> None:
    """Keep this process on one core, and every library in it on one thread."""
    os.sched_setaffinity(0, {core})


def sized(contents: Contents, folder: Path, *, trees: int, leaves: int, lists: int = 1500) -> Contents:
    """The same bundle with a ranker of so many trees, grown on the last event of its users; kept in a folder.

    Its order is not what is measured: those events are in the statistics too.
    """
    names = contents.candidate_features().names
    forty = replace(contents, features=FeaturesConfig(names=tuple(_forty(names))))
    path = folder / f"ranker-{trees}x{leaves}"
    if path.exists():
        return replace(forty, ranker=Ranker.load(path))
    config = RankerConfig(trees=trees, leaves=leaves, min_data_in_leaf=20)
    retrieve, shorten, features = forty.retriever(), Filter(forty.retrieve.k), forty.candidate_features()

    def training(part: Examples) -> TrainingLists:
        shortlist = shorten(part.requests, retrieve(part.requests))
        return training_lists(part.requests, shortlist, part.targets, features, config)

    ranker = Ranker.fit(concatenate(list(each_chunk(training, last_events(forty, lists)))), None, config)
    ranker.save(path)
    return replace(forty, ranker=ranker)


def _forty(names: Sequence[str]) -> list[str]:
    """The first forty columns in the order of FEATURES, then of the rest."""
    order = [name for family in FEATURES for name in names if name == family or name.split(".")[0] == family]
    return (order + [name for name in names if name not in order])[:40]


def last_events(contents: Contents, n: int) -> Examples:
    """Users with at least two events, each before the last of them: that one is the target."""
    users = np.flatnonzero(contents.users.history.lengths >= 2)[:n]
    if not len(users):
        raise DataError("no user of this bundle has two events")
    whole = of_users(contents, users)
    kept = np.ones(len(whole.history.values), dtype=np.bool_)
    kept[whole.history.offsets[1:] - 1] = False
    lengths = whole.history.lengths - 1
    history = Ragged.from_lengths(whole.history.values[kept], lengths)
    times = Ragged.from_lengths(whole.history_times.values[kept], lengths)
    targets = Ragged.from_lengths(whole.history.values[~kept], np.ones(len(users), dtype=np.int64))
    requests = replace(whole, history=history, history_times=times, exclude=history)
    return Examples(requests, targets)


def asked(contents: Contents, n: int, seed: int = 0) -> list[Requests]:
    """n requests of one user each, drawn with the seed."""
    users = np.random.default_rng(seed).integers(len(contents.users.ids), size=n)
    whole = of_users(contents, users)
    return [whole.take(np.array([row])) for row in range(n)]


def clock(call: Callable[[Any], Any], arguments: Sequence[Any]) -> list[float]:
    """Seconds of each call."""
    taken = []
    for argument in arguments:
        start = time.perf_counter()
        call(argument)
        taken.append(time.perf_counter() - start)
    return taken


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """p50, p95, p99 and the mean in milliseconds."""
    milliseconds = 1000 * np.asarray(seconds)
    p50, p95, p99 = np.percentile(milliseconds, [50, 95, 99])
    found = {"p50": p50, "p95": p95, "p99": p99, "mean": milliseconds.mean()}
    return {name: round(float(value), 4) for name, value in found.items()}


def save(name: str, about: dict[str, Any], folder: Path) -> Path:
    """`folder/NAME.json` with the machine, versions and moment."""
    folder.mkdir(parents=True, exist_ok=True)
    made = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    path = folder / f"{name}.json"
    whole = {**about, "machine": machine(), "versions": versions(), "made": made}
    path.write_text(json.dumps(whole, indent=1) + "\n")
    return path


def bars(path: Path, title: str, unit: str, rows: dict[str, tuple[float, float | None]]) -> None:
    """Horizontal bars, one a name: a value, and a tick at a second one, such as p99."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 0.6 + 0.42 * len(rows)), layout="constrained")
    axes = figure.subplots()
    names = list(rows)
    widths = [rows[name][0] for name in names]
    axes.barh(
        names,
        widths,
        color=["#b8bec9" if name.startswith("glue") else "#3465a4" for name in names],
        height=0.62,
    )
    for place, (width, tick) in enumerate(rows.values()):
        if tick is not None:
            axes.plot([tick], [place], marker="|", markersize=14, color="#20242c")
        label = f"{width:,.2f}" if width < 100 else f"{width:,.0f}"
        axes.annotate(
            label, (max(width, tick or 0), place), xytext=(6, 0), textcoords="offset points", va="center"
        )
    axes.invert_yaxis()
    axes.set_xlabel(unit)
    axes.set_title(title, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.12)
    figure.savefig(path, dpi=140)
