"""The command line: one data set, one or more seeds, one table, one JSON file a seed."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

# Spinning threads make everything many times slower where cores are shared; read once, before torch is.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

RESULTS = Path(__file__).parents[1] / "results"


def main(
    dataset: Annotated[str, typer.Argument(help="a config in configs/, or mq2008")],
    data: Annotated[Path, typer.Option(help="the data set's folder")],
    seeds: Annotated[int, typer.Option(min=1, help="runs, seeded 0, 1, …")] = 1,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="section.key=value of the config, for an ablation")
    ] = None,
    label: Annotated[str, typer.Option(help="what the change is called in the results")] = "",
    work: Annotated[Path, typer.Option(help="where towers and bundles are kept")] = Path("build/quality"),
    results: Annotated[Path, typer.Option(help="where the JSON files go")] = RESULTS,
) -> None:
    """Train, build, evaluate; print the published figures beside ours."""
    from benchmarks.quality.show import show

    logging.basicConfig(level=logging.WARNING)
    made = []
    for seed in range(seeds):
        if dataset == "mq2008":
            from benchmarks.quality.letor import run as run_letor

            result = run_letor(data, seed, set_ or [], label)
        else:
            from benchmarks.quality.funnels import configured, run

            result = run(configured(dataset, data, seed, set_ or []), work, label)
        result.save(results)
        made.append(result)
    show(made, Console())


def _run() -> None:
    """A mistake of the caller's is a sentence, not a traceback."""
    from funnel.errors import FunnelError

    try:
        typer.run(main)
    except FunnelError as error:
        Console(stderr=True).print(str(error), style="red", highlight=False, markup=False)
        raise SystemExit(1) from None


if __name__ == "__main__":
    _run()
