"""How fast the ranker's trees answer, beside LightGBM, ONNX Runtime, lleaves and tl2cgen.

    python -m benchmarks.trees --data PATH
    python -m benchmarks.trees --few

300 trees of 63 leaves on lists of 500 rows: the funnel's own features in a small synthetic world, and
LightGBM's ranking example where it is at PATH. Each way runs in a process of its own, pinned to the same core
(two threads: two cores), and all take turns: in a round each answers one list ten times, and the fastest call
counts: in processor time, which on an idle core is the clock's, or by the clock with two threads. The peers
live in an environment of their own, made from benchmarks/peers/trees.txt.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated, Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.training import environment
from benchmarks.trees_data import Case, example_case, few_cases, funnel_cases

HERE = Path(__file__).parent
SCRIPT = HERE / "peers" / "trees.py"
#: What is compared: the script's name for it, with its threads.
WAYS = {
    "funnel": "funnel-1",
    "lleaves": "lleaves-1",
    "tl2cgen": "tl2cgen-1",
    "ONNX Runtime": "onnxruntime-1",
    "Booster.predict": "booster-1",
    "Booster.predict, two threads": "booster-2",
}
#: Of the cases, in the picture.
TITLES = {
    "request": "a request's list",
    "mixed": "nothing shared",
    "half": "half of the features shared",
    "example": "LightGBM's ranking example",
}


class Way:
    """A process that answers when it is asked."""

    def __init__(self, name: str, python: Path, folder: Path) -> None:
        self.name = name
        command = [str(python), str(SCRIPT), name, str(folder)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, case: Case, request: int, calls: int | str) -> float:
        """Seconds of the fastest of `calls` calls."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        asked = {"case": case.name, "model": case.model, "request": request, "calls": calls}
        print(json.dumps(asked), file=self._process.stdin, flush=True)
        return float(json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def difference(folder: Path, way: str, case: Case) -> float:
    """Largest difference of a score from Booster.predict's, relative to the largest score."""
    own, exact = (np.load(folder / f"{name}-{case.name}.npy") for name in (way, WAYS["Booster.predict"]))
    return float(np.abs(own - exact).max() / np.abs(exact).max())


def main(
    data: Annotated[
        Path | None, typer.Option(help="the folder lightgbm-lambdarank, to add that case")
    ] = None,
    rounds: int = 30,
    seed: int = 0,
    few: Annotated[bool, typer.Option(help="lists of few rows in place of 500")] = False,
    work: Annotated[Path, typer.Option(help="where models and the peers' environment are")] = Path(
        "build/trees"
    ),
    results: Annotated[Path, typer.Option(help="where the JSON file goes")] = HERE / "results",
    plot: Annotated[
        Path | None, typer.Option(help="where a picture of the lists of 500 goes (needs the extra plot)")
    ] = None,
) -> None:
    """Time each way on each case; print and write milliseconds and ratios."""
    from funnel.evaluation import machine, versions

    work = work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    if few:
        cases = few_cases(work, seed)
    else:
        cases = funnel_cases(work, seed) + ([example_case(work, data, seed)] if data else [])
    python = environment(work / "peers", "trees.txt")
    ways = {
        name: Way(way, Path(sys.executable) if name == "funnel" else python, work)
        for name, way in WAYS.items()
    }
    found: dict[str, dict[str, Any]] = {}
    for case in cases:
        for way in ways.values():
            way.ask(case, 0, "check")
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(rounds):
            for name, way in ways.items():
                seconds[name].append(way.ask(case, number % case.requests, 10))
        found[case.name] = summary(seconds, {name: difference(work, WAYS[name], case) for name in ways})
    for way in ways.values():
        way.close()
    about = {
        "cases": {case.name: case.about for case in cases}, "results": found, "rounds": rounds, "seed": seed,
        "peers": (HERE / "peers" / "trees.txt").read_text().splitlines()[1:], "machine": machine(),
        "versions": versions(), "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }  # fmt: skip
    results.mkdir(parents=True, exist_ok=True)
    (results / ("trees-few.json" if few else "trees.json")).write_text(json.dumps(about, indent=1) + "\n")
    show(about)
    if plot and not few:
        draw(about, plot)


def summary(seconds: dict[str, list[float]], differences: dict[str, float]) -> dict[str, Any]:
    """Of each way: milliseconds (median, quartiles) and times funnel's (the median of the rounds' ratios)."""
    own = np.array(seconds["funnel"])
    found = {}
    for name, taken in seconds.items():
        low, middle, high = np.percentile(1e3 * np.array(taken), [25, 50, 75])
        ratio = float(np.median(np.array(taken) / own))
        found[name] = {
            "ms": round(middle, 4), "quartiles": [round(low, 4), round(high, 4)],
            "times_funnel": round(ratio, 2), "largest_difference": differences[name],
        }  # fmt: skip
    return found


def show(about: dict[str, Any]) -> None:
    """A table a case."""
    for case, found in about["results"].items():
        table = Table(title=f"{case}: {about['cases'][case]}", title_justify="left")
        for column in ("", "ms a list", "times funnel's", "largest relative difference"):
            table.add_column(column, justify="right" if column else "left")
        for name, one in found.items():
            table.add_row(
                name, f"{one['ms']:.3f}", f"{one['times_funnel']:.1f}", f"{one['largest_difference']:.0e}"
            )
        Console().print(table)


def draw(about: dict[str, Any], path: Path) -> None:
    """Bars of milliseconds, a panel a case; one thread only, since two are timed by another clock."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    found = {
        case: {name: one for name, one in ways.items() if WAYS[name].endswith("-1")}
        for case, ways in about["results"].items()
    }
    figure, panels = pyplot.subplots(
        1, len(found), figsize=(3.6 * len(found), 2.9), sharey=True, squeeze=False
    )
    for panel, (case, ways) in zip(panels[0], found.items(), strict=True):
        names, taken = list(ways), [one["ms"] for one in ways.values()]
        colours = ["#1f6f8b" if name == "funnel" else "#b8c4cc" for name in names]
        bars = panel.barh(names, taken, color=colours)
        panel.bar_label(bars, [f"{ms:.2f}" for ms in taken], padding=3, fontsize=8)
        panel.set_title(TITLES[case], fontsize=9)
        panel.set_xlim(0, 1.25 * max(taken))
        panel.set_xlabel("ms for 500 rows", fontsize=8)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0][0].invert_yaxis()
    figure.tight_layout()
    figure.savefig(path, dpi=140)


if __name__ == "__main__":
    typer.run(main)
