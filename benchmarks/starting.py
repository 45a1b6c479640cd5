"""How long a new process takes until it has answered once: import, open, and the first answer.

    python -m benchmarks.starting --indexes indexes
    python -m benchmarks.starting --indexes indexes --earlier ../earlier/src  # beside another funnel

Each start is a process of its own, the funnels' in turns; what is read is in the machine's cache by then.
`cold` is a start of each package that has no compiled code and nowhere to find any.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.serving import RESULTS, save

SOURCE = Path(__file__).resolve().parents[1] / "src"

#: Imports, opens, answers, and says how many seconds each took, and MiB of its own at the end.
START = """
import json, re, sys, time
moments = [time.perf_counter()]
from funnel import Live
moments.append(time.perf_counter())
live = Live(sys.argv[1])
moments.append(time.perf_counter())
live.recommend("somebody")
moments.append(time.perf_counter())
own = int(re.search(r"RssAnon:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024
steps = dict(zip(("import", "open", "answer"), (b - a for a, b in zip(moments, moments[1:]))))
print(json.dumps({**steps, "all": moments[-1] - moments[0], "mib": own}))
"""


def start(source: Path, indexes: Path) -> dict[str, float]:
    """One process with the funnel in `source`."""
    env = {**os.environ, "PYTHONPATH": str(source), "OMP_WAIT_POLICY": "PASSIVE"}
    command = [sys.executable, "-c", START, str(indexes)]
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, check=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def cold(source: Path, indexes: Path) -> dict[str, float]:
    """The same of a package without compiled code, whose user has none either."""
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder, "funnel")
        shutil.copytree(source / "funnel", package, ignore=shutil.ignore_patterns("*.code"))
        old = {name: os.environ.get(name) for name in ("XDG_CACHE_HOME", "NUMBA_CACHE_DIR")}
        os.environ.update(XDG_CACHE_HOME=folder, NUMBA_CACHE_DIR=folder)
        try:
            return start(Path(folder), indexes)
        finally:
            for name, value in old.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})


def main(
    indexes: Annotated[Path, typer.Option(help="where the bundle is published")] = Path("indexes"),
    starts: Annotated[int, typer.Option(min=1, help="of each funnel")] = 9,
    cold_starts: Annotated[int, typer.Option(min=0, help="without compiled code")] = 1,
    earlier: Annotated[Path | None, typer.Option(help="`src` of another funnel")] = None,
    results: Annotated[Path, typer.Option(help="where the JSON file goes")] = RESULTS,
) -> None:
    """Measure, print a table and write starting-ITEMS.json."""
    sources = {"now": SOURCE} | ({} if earlier is None else {"earlier": earlier.resolve()})
    for source in sources.values():
        start(source, indexes)  # what it compiles and reads for the first time is not what is asked for
    seen: dict[str, list[dict[str, float]]] = {name: [] for name in sources}
    for _ in range(starts):
        for name, source in sources.items():
            seen[name].append(start(source, indexes))
    for name, source in sources.items() if cold_starts else ():
        cold_name = "cold" if name == "now" else f"cold, {name}"
        seen[cold_name] = [cold(source, indexes) for _ in range(cold_starts)]
    found = {name: medians(every) for name, every in seen.items()}
    items = _items(indexes)
    about: dict[str, Any] = {"items": items, "starts": starts, "seconds": found}
    if earlier is not None:
        about["now_by_earlier"] = round(found["now"]["all"] / found["earlier"]["all"], 3)
    save(f"starting-{items}", {**about, "load_average": os.getloadavg()}, results)
    show(found)


def medians(every: list[dict[str, float]]) -> dict[str, float]:
    """Of each step on its own."""
    return {step: round(statistics.median(one[step] for one in every), 3) for step in every[0]}


def _items(indexes: Path) -> int:
    from funnel import Live

    live = Live(indexes)
    n = len(live.contents.catalogue.ids)
    live.close()
    return n


def show(found: dict[str, dict[str, float]]) -> None:
    """The table."""
    table = Table("", *next(iter(found.values())), title="seconds of a start, and MiB", title_justify="left")
    for name, steps in found.items():
        table.add_row(name, *map(str, steps.values()))
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
