"""Retrieval: our search beside hnswlib, usearch, voyager and ScaNN, at equal recall, one thread a query.

    python -m benchmarks.ann VECTORS.npy QUERIES.npy --name trained-million --about "what they are"

float32 [n, d] and [Q, d]. Every library builds its index from the same vectors and answers the same queries,
one at a time; each keeps its process and its index, and rounds of each take turns, so that what else the
machine does falls on all of them. Recall is held against exact search by row. The peers live in an
environment of their own, from benchmarks/peers/ann.txt.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Annotated, Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.ann_libraries import OURS, Ours, Peer
from benchmarks.training import environment

HERE = Path(__file__).parent
#: The settings of each: the queue's length of a graph, the leaves visited of a tree.
QUEUES = (500, 600, 800, 1200, 2000, 4000)
PEERS = {"hnswlib": QUEUES, "usearch": QUEUES, "voyager": QUEUES, "scann": (8, 16, 32, 64, 128, 256)}


def at_recall(points: list[dict[str, float]], key: str, goal: float) -> float | None:
    """Milliseconds at a recall of at least `goal`: the fastest setting that reaches it."""
    reaching = [p["ms"] for p in points if p[key] >= goal]
    return min(reaching) if reaching else None


def measure(libraries: dict[str, Any], settings: dict[str, Any], wanted: np.ndarray, rounds: int) -> Any:
    """Of every setting: the median over queries of the shortest of some rounds, and recall at k and at 10."""
    from funnel.index.auto import recall

    seconds: dict[tuple[str, float], list[list[float]]] = {}
    rows: dict[tuple[str, float], np.ndarray] = {}
    for _ in range(rounds):
        for place in range(max(map(len, settings.values()))):
            for name, library in libraries.items():
                if place < len(settings[name]):
                    at = (name, settings[name][place])
                    spent, rows[at] = library.ask(at[1])
                    seconds.setdefault(at, []).append(spent)
    k = wanted.shape[1]
    found: dict[str, list[dict[str, float]]] = {name: [] for name in libraries}
    for (name, setting), times in seconds.items():
        got = rows[name, setting]
        found[name].append({
            "setting": setting, "ms": 1000 * float(np.median(np.min(times, axis=0))),
            f"recall@{k}": recall(got, wanted), "recall@10": recall(got[:, :10], wanted[:, :10]),
        })  # fmt: skip
    return found


def tabled(title: str, at: dict[str, dict[str, float | None]], builds: dict[str, Any], k: int) -> Table:
    """A line a library: milliseconds at equal recall, how many times funnel's, and what its index took."""
    table = Table(title=title, title_justify="left")
    for column in ("", f"recall@{k}", "times", "recall@10", "build s", "MiB"):
        table.add_column(column, justify="left" if not column else "right")
    first = at["funnel"][f"recall@{k}"]
    for n, ms in at.items():
        build, deep, top = builds[n], ms[f"recall@{k}"], ms["recall@10"]
        table.add_row(
            n, "not reached" if deep is None else f"{deep:.3f}",
            f"{deep / first:.1f}" if deep and first else "", "not reached" if top is None else f"{top:.3f}",
            f"{build['seconds']:.0f}", f"{build['bytes'] / 2**20:,.0f}",
        )  # fmt: skip
    return table


def main(
    vectors_file: Annotated[Path, typer.Argument(help="item vectors, float32 [n, d]")],
    queries_file: Annotated[Path, typer.Argument(help="queries, float32 [Q, d]")],
    name: Annotated[str, typer.Option(help="of the result")],
    about: Annotated[str, typer.Option(help="what the vectors are")],
    spec: Annotated[str, typer.Option(help="of funnel's index; what `funnel tune` says")] = "auto",
    peer: Annotated[list[str] | None, typer.Option(help="only these; again for more")] = None,
    k: int = 500,
    queries: Annotated[int, typer.Option(help="so many of them")] = 200,
    rounds: int = 3,
    threads: Annotated[int, typer.Option(help="for building; searches have one")] = 2,
    goal: float = 0.95,
    work: Annotated[Path, typer.Option(help="where the peers' environment is")] = Path("build/ann"),
    results: Annotated[Path, typer.Option(help="where JSON and picture go")] = HERE / "results",
) -> None:
    """Build all, then ask all in turns; print milliseconds at equal recall."""
    from funnel.evaluation import machine, versions
    from funnel.index.exact import exact_search
    from funnel.pages.curves import Curve, draw_curves

    work = work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    vectors = np.load(vectors_file)
    asked = np.load(queries_file)[:queries]
    np.save(work / "queries.npy", asked)
    wanted, _ = exact_search(vectors, asked, k, threads=threads)
    options = [str(vectors_file.resolve()), str(work / "queries.npy"), str(k), str(threads)]
    python = environment(work / "peers", "ann.txt")
    libraries: dict[str, Any] = {"funnel": Ours(vectors, asked, wanted, spec, threads)}
    peers = {library: PEERS[library] for library in peer or PEERS}
    for library in peers:
        libraries[library] = Peer(python, library, options)
        Console(stderr=True).print(library, libraries[library].build)
    found = measure(
        libraries,
        {"funnel": OURS if libraries["funnel"].settings.keys() != {1.0} else (1.0,), **peers},
        wanted,
        rounds,
    )
    for library in libraries.values():
        library.close()
    at = {
        n: {key: at_recall(points, key, goal) for key in (f"recall@{k}", "recall@10")}
        for n, points in found.items()
    }
    title = f"{name}: {len(vectors):,} vectors of {vectors.shape[1]}, ms a query at {goal}, one thread"
    Console().print(tabled(title, at, {n: library.build for n, library in libraries.items()}, k))
    results.mkdir(parents=True, exist_ok=True)
    curves = [
        Curve(n, [(p[f"recall@{k}"], p["ms"]) for p in points], n == "funnel") for n, points in found.items()
    ]
    draw_curves(curves, results / f"ann-{name}.png", recall=f"recall@{k}", goal=goal)
    result = {
        "name": name, "about": about, "size": len(vectors), "dimension": vectors.shape[1], "k": k,
        "queries": len(asked), "rounds": rounds, "threads": {"search": 1, "build": threads}, "goal": goal,
        "spec": libraries["funnel"].spec, "ms_at_goal": at, "points": found,
        "build": {n: library.build for n, library in libraries.items()},
        "peers": (HERE / "peers" / "ann.txt").read_text().splitlines()[1:],
        "machine": machine(), "versions": versions(), "load": os.getloadavg(),
        "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "python": sys.version.split()[0],
    }  # fmt: skip
    (results / f"ann-{name}.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    typer.run(main)
