"""What vectors in fewer bytes cost: recall of exact search and NDCG of answers, on a bundle's own requests.

    python -m benchmarks.vectors movielens=indexes million=/data/million/indexes

For each form the index is built again over what is stored, and the holdout of the bundle is answered with it;
the ranker stays. Recall is the share of float32's exact items that exact search over the form finds, so that
it is the cost of the form alone. Differences are paired, with 95% intervals by users. Times are of the
processor.
"""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.serving import RESULTS, save
from funnel.artifacts import Store
from funnel.bundle.contents import Contents, load_contents
from funnel.bundle.holdout import HOLDOUT, Holdout
from funnel.evaluation.bootstrap import paired
from funnel.evaluation.metrics import compute_all
from funnel.index import ExactIndex, FaissIndex, IndexConfig
from funnel.index.auto import recall
from funnel.serving.request import of_users
from funnel.types import Examples, Float32
from funnel.vectors import FORMS, Form
from funnel.vectors.coding import row_bytes

_METRIC = "ndcg@10"


def with_form(contents: Contents, form: Form, queries: Float32, threads: int) -> Contents:
    """The same contents over vectors of another form, with an index that is built of them."""
    assert isinstance(contents.index, FaissIndex)
    info, vectors = contents.index.info, contents.vectors.kept(form)
    config = IndexConfig(spec=info.spec, k=info.recall_k, recall=info.recall_goal)
    index = FaissIndex.build(
        vectors, config, queries, seed=info.seed, towers_fingerprint=info.towers_fingerprint, threads=threads
    )
    return replace(contents, encoder=replace(contents.encoder, item_vectors=vectors), index=index)


def measured(contents: Contents, form: Form, queries: Float32, examples: Examples, threads: int) -> Any:
    """Of one form: the figures, and NDCG@10 of each request."""
    changed = with_form(contents, form, queries, threads)
    exact, k = ExactIndex(contents.vectors), min(100, len(contents.vectors))
    mine, wanted = (
        index.search(queries, k, threads=threads)[0] for index in (ExactIndex(changed.vectors), exact)
    )
    assert isinstance(changed.index, FaissIndex)
    info = changed.index.info
    truly = exact.search(queries, info.recall_k, threads=threads)[0]
    approximate = changed.index.search(queries, info.recall_k, threads=threads)[0]
    ndcg = compute_all([_METRIC], changed.funnel(10)(examples.requests).items, examples.targets)[_METRIC]
    about = {
        "bytes_a_vector": row_bytes(form, contents.vectors.shape[1]),
        "exact_recall@100": round(recall(mine, wanted), 5),
        "index": info.spec,
        "params": info.params,
        f"index_recall@{info.recall_k}": round(info.recall, 5),
        f"index_recall@{info.recall_k}_of_float32": round(recall(approximate, truly), 5),
        "exact_us": _microseconds(ExactIndex(changed.vectors), queries[:20], k),
        "index_us": _microseconds(changed.index, queries, info.recall_k),
        _METRIC: round(float(ndcg.mean()), 5),
    }
    return about, ndcg


def _microseconds(index: Any, queries: Float32, k: int) -> float:
    """Of a search of one query, the median."""
    taken = []
    for row in [0, *range(len(queries))]:
        start = time.thread_time()
        index.search(queries[row : row + 1], k)
        taken.append(time.thread_time() - start)
    return round(1e6 * float(np.median(taken[1:])), 1)


def of_bundle(store: Path, seed: int, requests: int, threads: int) -> dict[str, Any]:
    """Every form on the published bundle of a store."""
    folder = Store(store).path("current")
    contents = load_contents(folder)
    users = np.random.default_rng(seed).permutation(len(contents.users.ids))[:200]
    queries = contents.queries.encode(of_users(contents, np.sort(users)))
    examples = Holdout.load(folder / HOLDOUT, contents).examples
    examples = examples.take(np.arange(min(requests, len(examples))))
    forms, first = {}, None
    for form in FORMS:
        about, ndcg = measured(contents, form, queries, examples, threads)
        first = ndcg if first is None else first
        change = paired(ndcg, first, examples.requests.users, seed=seed)
        forms[form] = about | {"change": [round(one, 5) for one in (change.mean, change.lo, change.hi)]}
    return {"items": len(contents.vectors), "requests": len(examples), "forms": forms}


def main(
    bundles: Annotated[list[str], typer.Argument(help="NAME=STORE, each with a published bundle")],
    requests: int = 2000,
    threads: int = 1,
    results: Path = RESULTS,
    seed: int = 0,
) -> None:
    """Measure, print and save results/vectors.json."""
    about = {}
    for one in bundles:
        name, _, store = one.partition("=")
        about[name] = of_bundle(Path(store), seed, requests, threads)
        show(name, about[name])
    save("vectors", {"bundles": about}, results)


def show(name: str, about: dict[str, Any]) -> None:
    """A row a form."""
    title = f"{name}: {about['items']:,} items, {about['requests']:,} requests"
    table = Table(title=title, title_justify="left")
    columns = list(about["forms"]["float32"])
    for column in ("", *columns):
        table.add_column(column)
    for form, row in about["forms"].items():
        table.add_row(form, *(str(row[column]) for column in columns))
    Console(width=220).print(table)


if __name__ == "__main__":
    typer.run(main)
