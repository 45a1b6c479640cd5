"""How long a caller of `Live.recommend` waits on one core; beside the stack that people write.

    python -m benchmarks.latency --indexes indexes --users 1000000 --users 5000000 --lleaves

One request after another, of users drawn with a seed, from the user's id to ten recommendations with their
columns and reasons; the request is made inside the clock. What is measured takes turns, fifty requests each:
a `Live` for each number of users, and the glue, from the user's id to ten item ids. The ranker is grown for
the benchmark: 300 trees of 63 leaves over 40 features. What a user met is excluded; the best ten of fifty are
diversified; a thousand users have clicked since the bundle was built.
"""

from __future__ import annotations

import os
import shutil

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"

from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.derived import served
from benchmarks.glue import Glue, booster, lleaves
from benchmarks.latency_result import COMPILED, GLUE, Row, Run, Taken, result, tell
from benchmarks.read_latency import read_latency
from benchmarks.serving import RESULTS, asked, percentiles, pin
from benchmarks.training import environment
from funnel import Live
from funnel.artifacts import Store
from funnel.bundle.contents import Contents
from funnel.index import ExactIndex
from funnel.serving.reasons import recommendations
from funnel.serving.request import Request, encode_request
from funnel.stages import Filter
from funnel.types import Requests

TURN, TOP, CLICKS = 50, 10, 1000

#: From a user's id to an answer.
Call = Callable[[Any], Any]


def recall(contents: Contents, requests: list[Requests], k: int) -> float:
    """The share of exact search's k that the bundle's index finds, averaged over the requests."""
    queries = np.concatenate([contents.encoder.encode(one) for one in requests])
    found, wanted = contents.index.search(queries, k)[0], ExactIndex(contents.vectors).search(queries, k)[0]
    return float(np.mean([np.isin(w, f).mean() for f, w in zip(found, wanted, strict=True)]))


def glued(contents: Contents, model: Path, requests: list[Requests], k: int, goal: float) -> Glue:
    """The other stack, with the same towers and trees, and an index of the same recall."""
    retrieve, shorten, features = contents.retriever(), Filter(k), contents.candidate_features()
    lists = [features.matrix(one, shorten(one, retrieve(one)))[0] for one in requests]
    constant = np.all([(m == m[:1]).all(0) | np.isnan(m).all(0) for m in lists], axis=0)
    queries = np.concatenate([contents.encoder.encode(one) for one in requests])
    names, matrix = list(features.names), np.concatenate(lists)
    folder = model.parents[1]
    return Glue(contents, booster(model), names, matrix, constant, queries, folder, k=k, recall=goal)


def timed(call: Call, user: Any) -> Taken:
    start = perf_counter()
    answer = call(user)
    seconds = perf_counter() - start
    stages = getattr(answer, "milliseconds", {})
    return Taken(seconds, {name: value / 1000 for name, value in stages.items()})


def run(calls: dict[int | str, Call], users: dict[int | str, list[Any]]) -> Run:
    """All calls of each way, in turns."""
    load, taken = os.getloadavg()[0], {way: list[Taken]() for way in calls}
    for start in range(0, max(map(len, users.values())), TURN):
        for way, call in calls.items():
            taken[way] += [timed(call, user) for user in users[way][start : start + TURN]]
    return Run(taken, load)


def drawn(contents: Contents, n: int, seed: int) -> list[Any]:
    """The ids of n users."""
    ids = contents.users.ids.values
    found: list[Any] = ids[np.random.default_rng(seed).integers(len(ids), size=n)].tolist()
    return found


def parts(live: Live, users: list[Any]) -> dict[str, Row]:
    """What is beside the stages, each step by itself."""
    found: dict[str, list[float]] = {"state": [], "request": [], "response": []}
    for user in users:
        marks = [perf_counter()]
        loaded, since = live.served(), live.recent_interactions(user)
        marks.append(perf_counter())
        requests, _ = encode_request(loaded.contents, Request(user), since)
        marks.append(perf_counter())
        final = loaded.funnel(TOP).trace(requests)[-1].candidates
        marks.append(perf_counter())
        recommendations(loaded.contents, requests, final)
        marks.append(perf_counter())
        spent = np.diff(marks)
        for name, seconds in zip(found, spent[[0, 1, 3]], strict=True):
            found[name].append(float(seconds))
    return {name: percentiles(seconds) for name, seconds in found.items()}


def opened(source: Path, work: Path, users: int | None, trees: int, leaves: int) -> Live:
    """The bundle with so many users, in use, some of whom have just clicked."""
    store, version = served(source, work, users=users, trees=trees, leaves=leaves)
    live = Live(store.folder, version)
    items = live.contents.catalogue.ids.values[:CLICKS].tolist()
    clicks = zip(drawn(live.contents, CLICKS, 1), items * (CLICKS // len(items) + 1), strict=False)
    live.observe(*clicks)
    return live


def main(
    indexes: Annotated[Path, typer.Option(help="where the bundle is published")] = Path("indexes"),
    version: str = "current",
    users: Annotated[list[int] | None, typer.Option(help="made of the bundle's; default: its own")] = None,
    requests: int = 2000,
    repeats: Annotated[int, typer.Option(help="runs; the one with the median p50 counts")] = 3,
    trees: int = 300,
    leaves: int = 63,
    beside: Annotated[bool, typer.Option(help="whether the other stack is measured too")] = True,
    compiled: Annotated[
        bool, typer.Option("--lleaves", help="and with compiled trees, features from an array")
    ] = False,
    core: Annotated[int, typer.Option(help="the core that everything runs on")] = 0,
    work: Annotated[Path, typer.Option(help="where what is made for it is kept")] = Path("build/latency"),
    about: Annotated[str, typer.Option(help="what the ads are, for the file")] = "",
    results: Annotated[Path, typer.Option(help="where the JSON files go")] = RESULTS,
) -> None:
    """Print and save p50, p95 and p99 of a call of `Live.recommend`, of its stages, and of the glue."""
    source = Store(indexes).path(version)
    shutil.rmtree(work / source.name / "indexes" / "live", ignore_errors=True)  # the clicks of the last time
    lives = [opened(source, work, n, trees, leaves) for n in users or [None]]
    model = work / source.name / f"ranker-{trees}x{leaves}" / "model.txt"
    python = environment(work / "peers", "trees.txt") if compiled else None
    pin(core)
    first = lives[0].contents
    own = first.own or first
    k, tried = first.retrieve.k, asked(first, 100, seed=1)
    settings: dict[str, Any] = {
        "ads": len(own.catalogue.ids), "about": about, "requests": requests, "repeats": repeats, "k": k,
        "trees": trees, "leaves": leaves, "features": len(own.candidate_features().names), "threads": 1,
        "core": core, "index": own.index.spec, f"recall@{k}": recall(first, tried, k),
    }  # fmt: skip
    by_users = {len(live.contents.users.ids): live for live in lives}
    calls: dict[int | str, Call] = {n: partial(live.recommend, k=TOP) for n, live in by_users.items()}
    if beside:
        glue = glued(own, model, tried, k, settings[f"recall@{k}"])
        calls[GLUE] = glue
        settings["glue"] = {"index": glue.spec, "nprobe": glue.probes, f"recall@{k}": glue.recall}
        if python is not None:
            calls[COMPILED] = glue.scored_by(lleaves(model, python))

    def users_of(n: int, seed: int) -> dict[int | str, list[Any]]:
        """Of each way, so many of its users."""
        return {way: drawn(by_users.get(way, lives[0]).contents, n, seed) for way in calls}

    run(calls, users_of(100, 2))
    runs = [run(calls, users_of(requests, 100 + repeat)) for repeat in range(repeats)]
    settings["nanoseconds_a_read"] = read_latency()
    for n, live in by_users.items():
        steps = parts(live, drawn(live.contents, requests, 200))
        tell(result(settings, runs, n, steps), results)


if __name__ == "__main__":
    typer.run(main)
