"""Search with a filter: time, recall and whether k come back, beside the search without one.

    python -m benchmarks.filters

The vectors are those of the synthetic world of ads: an ad's true factors (its category's, its advertiser's
and a part of its own) and its quality as the last number; queries are its users'. No tower could know them
better, and they are clustered as ads are. The index is the one that `choose_spec` gives; queries that it was
tuned with are not measured. One query at a time, one thread, all ways of searching one after the other for
each filter: ours, exact search over what passes, and FAISS with a bitmap selector and the parameters that
were tuned without a filter.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import faiss
import numpy as np
import pandas as pd
import typer
from rich.console import Console
from rich.table import Table

from funnel.allow import Allow
from funnel.catalogue.where import Filters, Where
from funnel.evaluation import machine, versions
from funnel.index import ExactIndex, FaissIndex, IndexConfig
from funnel.index.auto import recall
from funnel.index.kernel import best_of
from funnel.synthetic.structure import draw_ads, draw_people, draw_structure

HERE = Path(__file__).parent
K, D = 500, 64
_TUNED = 500


def world(n: int, queries: int, seed: int) -> tuple[Any, Any, pd.DataFrame]:
    """Vectors [n, 64], queries [500 + queries, 64], and the ads' columns."""
    rng = np.random.default_rng(seed)
    structure = draw_structure(rng, n, D - 1, 60, 0.3)
    ads = draw_ads(rng, structure, np.arange(n))
    people = draw_people(rng, structure, _TUNED + queries)
    columns = pd.DataFrame(
        {
            "category": structure.category[ads.campaign],
            "advertiser": structure.advertiser[ads.campaign],
            "price": ads.price.astype(np.float64),
            "chance": rng.random(n),
        }
    )
    for name in ("category", "advertiser"):
        columns[name] = (name + "-" + columns[name].astype(str)).astype("str")
    columns["active"] = rng.random(n) < 0.5
    ones = np.ones((len(people.vectors), 1), dtype=np.float32)
    return (
        np.concatenate([ads.vectors, ads.bias[:, None]], axis=1),
        np.concatenate([people.vectors, ones], axis=1),
        columns,
    )


def filters(columns: pd.DataFrame) -> dict[str, Where]:
    """Filters by name: independent of the vectors, going with them, and put together."""
    categories = columns["category"].value_counts().index.tolist()
    advertisers = pd.unique(columns["advertiser"]).tolist()
    cheap, dear = np.quantile(columns["price"], [0.1, 0.5])
    chance: dict[str, Where] = {
        f"by chance, {share:.2%}": {"chance": {"lt": share}} for share in (0.5, 0.1, 0.01, 0.0001)
    }
    return {
        **chance,
        "half of the categories": {"category": categories[::2]},
        "two categories": {"category": categories[5:7]},
        "a category": {"category": categories[len(categories) // 2]},
        "a tenth of the advertisers": {"advertiser": advertisers[::10]},
        "a hundredth of the advertisers": {"advertiser": advertisers[::100]},
        "an advertiser": {"advertiser": advertisers[0]},
        "the dearer half": {"price": {"ge": float(dear)}},
        "the cheapest tenth": {"price": {"lt": float(cheap)}},
        "active, and one of two categories or cheap": {
            "active": True,
            "or": [{"category": categories[5:7]}, {"price": {"lt": float(cheap)}}],
        },
        "neither active nor of three categories": {
            "not": {"or": [{"active": True}, {"category": categories[:3]}]}
        },
    }


def selector(index: FaissIndex, bits: Any) -> Callable[[Any], Any]:
    """FAISS's own filtered search with the tuned parameters, rescored as ours is."""
    inner, params = index._index, index.info.params
    given = faiss.SearchParametersIVF(
        nprobe=params["nprobe"], sel=faiss.IDSelectorBitmap(bits.view(np.uint8))
    )

    def search(query: Any) -> Any:
        _, rows = inner.search(query, K * params.get("k_factor", 1), params=given)
        rows = rows.astype(np.int32)
        return best_of(query, index._vectors, rows, K)[0]

    return search


def timed(search: Callable[[Any], Any], queries: Any) -> tuple[Any, dict[str, float]]:
    """What it finds, and milliseconds a query: median and 95th percentile."""
    search(queries[:1])
    found, seconds = [], []
    for query in queries:
        start = time.perf_counter()
        found.append(search(query[None]))
        seconds.append(time.perf_counter() - start)
    p50, p95 = np.quantile(np.array(seconds) * 1000, [0.5, 0.95])
    return np.concatenate(found), {"p50_ms": float(p50), "p95_ms": float(p95)}


def compiled(made: Filters, where: Where) -> dict[str, float]:
    """Milliseconds to compile a filter: the first time, and when its conditions are known."""
    start = time.perf_counter()
    made.compile(where)
    first = time.perf_counter() - start
    again = []
    for _ in range(50):
        start = time.perf_counter()
        made.compile(where)
        again.append(time.perf_counter() - start)
    return {"first_ms": 1000 * first, "again_ms": 1000 * float(np.median(again))}


def measure(index: FaissIndex, exact: ExactIndex, bits: Any, queries: Any) -> dict[str, Any]:
    """One filter: ours, exact and FAISS's selector."""
    allow = Allow(bits[None], np.zeros(1, dtype=np.int32), index.size)
    passing = int(allow.counts[0])
    # The search without a filter is timed again beside each, so that a busy moment weighs on both.
    _, unfiltered = timed(lambda q: index.search(q, K)[0], queries)
    rows, ours = timed(lambda q: index.search(q, K, allow=allow)[0], queries)
    wanted, slow = timed(lambda q: exact.search(q, K, allow=allow)[0], queries)
    theirs, faiss_time = timed(selector(index, bits), queries) if index.info.params else (wanted, slow)
    filled = rows >= 0
    return {
        "share": passing / index.size,
        "passing": passing,
        "unfiltered": unfiltered,
        "funnel": {
            **ours,
            "recall": recall(rows, wanted),
            "times_unfiltered": ours["p50_ms"] / unfiltered["p50_ms"],
            "exactly_k": bool((filled.sum(axis=1) == min(K, passing)).all()),
            "only_what_passes": bool(allow.holds(np.zeros(1, dtype=int), rows[filled]).all()),
        },
        "exact": slow,
        "faiss_selector": {
            **faiss_time, "recall": recall(theirs, wanted),
            "exactly_k": bool(((theirs >= 0).sum(axis=1) == min(K, passing)).all()),
        },
    }  # fmt: skip


def main(
    items: int = 1_000_000,
    queries: Annotated[int, typer.Option(help="measured a filter")] = 200,
    seed: int = 0,
    results: Annotated[Path, typer.Option(help="where the JSON file goes")] = HERE / "results",
) -> None:
    """Measure every filter; print a table and write filters.json."""
    vectors, asked, columns = world(items, queries, seed)
    index = FaissIndex.build(vectors, IndexConfig(k=K), asked[:_TUNED], threads=os.cpu_count() or 1)
    exact, held = ExactIndex(vectors), asked[_TUNED:]
    start = time.perf_counter()
    made = Filters.of(columns)
    laid_out = time.perf_counter() - start
    plain, _ = timed(lambda q: index.search(q, K)[0], held)
    base = recall(plain, exact.search(held, K)[0])
    found = {}
    for name, where in filters(columns).items():
        compiling = compiled(made, where)
        found[name] = {**measure(index, exact, made.compile(where), held), "compile": compiling}
    show(index, base, found)
    results.mkdir(parents=True, exist_ok=True)
    about = {
        "vectors": "synthetic ads: true factors and quality", "items": items, "d": D, "k": K,
        "queries": queries, "seed": seed, "threads": 1, "index": index.info.model_dump(mode="json"),
        "unfiltered_recall": base, "columns_laid_out_s": laid_out, "filters": found,
        "load_average": os.getloadavg(), "machine": machine(), "versions": versions(),
        "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }  # fmt: skip
    (results / "filters.json").write_text(json.dumps(about, indent=1) + "\n")


def show(index: FaissIndex, base: float, found: dict[str, Any]) -> None:
    """The table."""
    title = (
        f"{index.size:,} vectors, {index.spec} {index.info.params}, recall@{K} without a filter {base:.4f}"
    )
    table = Table(title=title, title_justify="left")
    for column in (
        "filter",
        "passes",
        "ms",
        "times",
        "recall",
        "k",
        "exact ms",
        "FAISS ms",
        "recall",
        "compile ms",
    ):
        table.add_column(column, justify="left" if column == "filter" else "right")
    for name, one in found.items():
        ours, theirs = one["funnel"], one["faiss_selector"]
        table.add_row(
            name, f"{one['share']:.2%}", f"{ours['p50_ms']:.2f}", f"{ours['times_unfiltered']:.2f}",
            f"{ours['recall']:.4f}", "yes" if ours["exactly_k"] and ours["only_what_passes"] else "NO",
            f"{one['exact']['p50_ms']:.2f}", f"{theirs['p50_ms']:.2f}", f"{theirs['recall']:.3f}",
            f"{one['compile']['first_ms']:.2f}, {one['compile']['again_ms']:.3f}",
        )  # fmt: skip
    Console(width=150).print(table)


if __name__ == "__main__":
    typer.run(main)
