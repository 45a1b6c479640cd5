"""An index in shards beside one index, at equal work: recall, equal lists, time. results/shards.json

    python -m benchmarks.shards --indexes /data/million/indexes --shards 4

On the item vectors and users of a published bundle, with the search parameters of its own index. Lists are
compared with one index of the same training, and recall with the bundle's own index as well, whose quantiser
was trained otherwise. Times are of the processor, one thread.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated, Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import typer
from rich.console import Console

from benchmarks.serving import RESULTS, save
from funnel.artifacts import Store
from funnel.bundle.contents import load_contents
from funnel.index import ExactIndex, FaissIndex, IndexConfig
from funnel.index.auto import recall
from funnel.index.factory import filled, trained
from funnel.index.shards import Shards
from funnel.serving.request import of_users
from funnel.types import Float32
from funnel.vectors import Form


def milliseconds(index: FaissIndex, queries: Float32, k: int, params: dict[str, int]) -> float:
    """Of a search of one query, the median."""
    taken = []
    for row in [*range(10), *range(len(queries))]:
        start = time.thread_time()
        index.search(queries[row : row + 1], k, params=params)
        taken.append(time.thread_time() - start)
    return round(1e3 * float(np.median(taken[10:])), 4)


def main(
    indexes: Annotated[Path, typer.Option(help="a store with a published bundle")],
    shards: int = 4,
    vectors: Annotated[str, typer.Option(help="float32, float16 or int8")] = "float32",
    queries: int = 200,
    threads: int = 1,
    results: Path = RESULTS,
    seed: int = 0,
) -> None:
    """Build, compare, print and save."""
    contents = load_contents(Store(indexes).path("current"))
    assert isinstance(contents.index, FaissIndex)
    info = contents.index.info
    form: Form = vectors  # type: ignore[assignment]
    held, k = contents.vectors.kept(form), info.recall_k
    users = np.sort(np.random.default_rng(seed).permutation(len(contents.users.ids))[:queries])
    asked = contents.queries.encode(of_users(contents, users))
    wanted = ExactIndex(held).search(asked, k, threads=threads)[0]
    began = time.process_time()
    several = FaissIndex.untuned(
        held, IndexConfig(spec=info.spec, k=k, shards=shards), seed=info.seed, threads=threads
    )
    took = time.process_time() - began
    whole = filled(trained(info.spec, held, info.seed, threads, sampled=True), info.spec, held, threads)
    one = FaissIndex(Shards((whole,), (0,)), held, several.info.model_copy(update={"shards": 1}))
    about: dict[str, Any] = {
        "items": len(held), "vectors": form, "index": info.spec, "shards": shards, "k": k, "queries": queries,
        "processor_seconds_to_build": round(took, 1), "points": [],
    }  # fmt: skip
    for factor in sorted({info.params["k_factor"], 4}):
        params = {**info.params, "k_factor": factor}
        rows = {name: index.search(asked, k, params=params, threads=threads)[0] for name, index in (
            ("one", one), ("shards", several), ("own", contents.index)
        )}  # fmt: skip
        about["points"].append({
            "params": params,
            "recall": {name: round(recall(found, wanted), 5) for name, found in rows.items()},
            "lists_equal": round(float((rows["one"] == rows["shards"]).all(axis=1).mean()), 4),
            "items_equal": round(recall(rows["shards"], rows["one"]), 6),
            "ms": {name: milliseconds(index, asked, k, params) for name, index in (
                ("one", one), ("shards", several)
            )},
        })  # fmt: skip
    Console().print(about)
    save("shards", about, results)


if __name__ == "__main__":
    typer.run(main)
