"""How well items without an event are placed: by columns alone, with titles as words, with titles encoded.

    python -m benchmarks.cold --data ml-latest-small [--quick]

Three bundles of MovieLens latest-small, alike in all but what is known of a title, are measured on the same
requests of the test window. Cold targets are those without an event in what was trained on, as the data have
them: nothing is held out by hand. Towers are trained for as many epochs as early stopping gives each;
`--quick` trains small ones shortly, to see that all of it works.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

import funnel.config as configs
from benchmarks.ads_world import merged
from benchmarks.quality.result import here
from benchmarks.serving import RESULTS, save
from funnel.artifacts import Store
from funnel.bundle.contents import Contents, load_contents
from funnel.config import Config
from funnel.data import Dataset, read
from funnel.evaluation import Report, compute, paired
from funnel.pipeline import Prepared, build, prepare, train_towers
from funnel.types import Examples

#: What `--quick` makes smaller.
QUICK: dict[str, Any] = {
    "split": {"max_requests": 1500},
    "towers": {"d": 32, "layers": 1, "epochs": 2, "history": 30},
    "ranker": {"trees": 60, "lists": 1500},
    "retrieve": {"k": 200},
    "evaluate": {"latency_requests": 5},
}

#: What is known of a title, and beside it always genres and year.
FORMS = ("none", "words", "minilm")


def with_titles(data: Dataset, form: str) -> Dataset:
    """The data with titles left out, as words, or encoded."""
    columns = tuple(
        column.model_copy(update={"encoder": None if form == "words" else form})
        if column.name == "title"
        else column
        for column in data.schema.items
        if form != "none" or column.name != "title"
    )
    items = data.items if form != "none" else data.items.drop(columns=["title"])
    schema = data.schema.model_copy(update={"items": columns})
    return Dataset.from_frames(schema, data.events, None, items, name=data.name)


def measured(config: Config, form: str, work: Path) -> tuple[Prepared, Report, Contents]:
    """A bundle with titles in one form, and its report."""
    prepared = prepare(config, with_titles(read(config.data), form))
    towers = train_towers(prepared, Store(work / "embeddings"), progress=True)
    built = build(prepared, towers, Store(work / "indexes"), progress=True)
    return prepared, built.report, load_contents(built.folder)


def cold_requests(prepared: Prepared) -> Examples:
    """Requests of the test window whose target had no event before it."""
    split = prepared.split
    events = np.bincount(split.test_statistics.items, minlength=len(prepared.dataset.items))
    assert (split.test.targets.lengths == 1).all()  # the protocol "event"
    return split.test.take(np.flatnonzero(events[split.test.targets.values] == 0))


def gains(contents: Contents, examples: Examples) -> Any:
    """NDCG@10 of each request, as served."""
    funnel, size = contents.funnel(10), 256
    parts = [
        examples.take(np.arange(at, min(at + size, len(examples)))) for at in range(0, len(examples), size)
    ]
    return np.concatenate([compute("ndcg@10", funnel(part.requests).items, part.targets) for part in parts])


def figures(report: Report) -> dict[str, Any]:
    """NDCG@10 and recall of each row: of all targets, and of cold ones."""
    assert report.cold is not None
    return {
        row.name: {
            "all": {name: row.metrics[name].model_dump() for name in ("ndcg@10", "recall@10")},
            "cold": {name: value.model_dump() for name, value in report.cold.rows[row.name].items()},
        }
        for row in report.rows
    }


def main(
    data: Annotated[Path, typer.Option(help="the folder of MovieLens latest-small")],
    seed: Annotated[int, typer.Option(help="of all that is drawn by chance")] = 0,
    quick: Annotated[bool, typer.Option("--quick", help="small towers: a look, not a figure")] = False,
    work: Annotated[Path, typer.Option(help="where towers and bundles are kept")] = Path("build/cold"),
) -> None:
    """Train, build and measure three bundles; print and keep the figures."""
    raw = configs.load(configs.packaged("ml-latest-small.toml"), data=data)
    whole = raw.model_dump(mode="json", exclude_unset=True)
    config = configs.parse(merged(whole, QUICK if quick else {}, {"seed": seed}))
    result: dict[str, Any] = {"benchmark": "cold", "seed": seed, "quick": quick, "forms": {}}
    per_request: dict[str, Any] = {}
    for form in FORMS:
        prepared, report, contents = measured(config, form, work)
        examples = cold_requests(prepared)
        per_request[form] = gains(contents, examples)
        result["forms"][form] = {
            "rows": figures(report),
            "notes": report.notes,
            "chance": {"all": report.chance["ndcg@10"], "cold": report.cold.chance["ndcg@10"]},
        }
        users = examples.requests.users
        result |= {
            "requests": report.requests, "users": report.users, "cold_targets": report.cold.targets,
            "cold_items": report.cold.items, "protocol": report.subject.rules,
        }  # fmt: skip
    result["differences"] = {
        f"{form} less none": paired(per_request[form], per_request["none"], users, seed=seed).model_dump()
        for form in FORMS[1:]
    }
    result["times"] = {
        form: float(per_request[form].mean() / per_request["none"].mean()) for form in FORMS[1:]
    }
    save("cold-quick" if quick else f"cold-ml-latest-small-{seed}", result | here(), RESULTS)
    show(result)


def show(result: dict[str, Any]) -> None:
    """The figures of the list that is shown, and of the towers alone."""
    table = Table("titles", "cold: towers", "retrieved", "shown", "interval", "all: shown", "interval")
    for form, found in result["forms"].items():
        rows = found["rows"]
        shown = rows["rerank"]
        cold, every = shown["cold"]["ndcg@10"], shown["all"]["ndcg@10"]
        parts = [rows[name]["cold"]["ndcg@10"]["mean"] for name in ("exact", "retrieve")]
        bounds = [f"{one['lo']:.4f} {one['hi']:.4f}" for one in (cold, every)]
        cells = [
            *(f"{value:.4f}" for value in (*parts, cold["mean"])),
            bounds[0],
            f"{every['mean']:.4f}",
            bounds[1],
        ]
        table.add_row(form, *cells)
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
