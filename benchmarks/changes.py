"""What a change costs its caller, and the requests beside it, in catalogues of several sizes.

    python -m benchmarks.changes --items 100000 --items 1000000
    python -m benchmarks.changes --earlier ../earlier/src      # beside the funnel in that folder

Clicks, one a call, at a thousand to a million events since the bundle: alone, in turns with requests, and
beside a thread that asks. Upserts, patches and deletes of one item, each followed by a request with a filter
and one without, as before any change; prices of ten thousand items a call. Each part runs in a process of its
own on a copy of the store, the earlier funnel's right after this one's.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.changes_world import catalogue
from benchmarks.serving import RESULTS, save

HERE = Path(__file__).resolve().parents[1]
#: What an earlier funnel is spared, which takes it too long.
MOST_EARLIER = 100_000


def measured(part: str, store: Path, work: Path, source: Path, *options: str) -> dict[str, Any]:
    """What `changes_calls` finds on a copy of the store with the funnel in `source`."""
    copy = work / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(store, copy, copy_function=os.link, ignore=shutil.ignore_patterns("live"))
    if not (source / "funnel" / "serving").exists():
        _without_times(copy)
    path = os.pathsep.join([str(source), str(HERE)])
    command = [sys.executable, "-m", "benchmarks.changes_calls", part, str(copy), *options]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, check=True, text=True
    )
    shutil.rmtree(copy)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _without_times(store: Path) -> None:
    """Manifests without how far the data reach, which a funnel before `serving/` takes for damage."""
    for path in store.glob("*/manifest.json"):
        plain = json.loads(path.read_text())
        for name in ("data_read", "data_end", "checksum"):
            plain.pop(name, None)
        plain["checksum"] = hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
        path.unlink()  # it is a link to the file that others read
        path.write_text(json.dumps(plain))


def main(
    items: Annotated[list[int] | None, typer.Option(help="sizes of the catalogue")] = None,
    events: Annotated[list[int] | None, typer.Option(help="events since the bundle")] = None,
    calls: Annotated[int, typer.Option(help="timed of each kind; clicks: ten times as many")] = 300,
    batch: Annotated[int, typer.Option(help="items whose price a call changes")] = 10_000,
    seconds: Annotated[float, typer.Option(help="of clicks beside a thread that asks")] = 3.0,
    earlier: Annotated[Path | None, typer.Option(help="`src` of another funnel")] = None,
    work: Annotated[Path, typer.Option(help="where stores are kept")] = Path("build/changes"),
    results: Annotated[Path, typer.Option(help="where the JSON file goes")] = RESULTS,
) -> None:
    """Measure, print a table and write changes.json."""
    sizes, counts = items or [100_000, 1_000_000], events or [1_000, 10_000, 100_000, 1_000_000]
    sources = {"now": HERE / "src"} | ({} if earlier is None else {"earlier": earlier.resolve()})
    stores = {n: catalogue(work, n) for n in sizes}
    found: dict[str, Any] = {"clicks": {}, "items": {}}
    for n, store in stores.items():
        found["items"][str(n)] = {
            name: measured("items", store, work, source, f"--calls={calls}", f"--batch={batch}")
            for name, source in sources.items()
        }
    for name, source in sources.items():
        fitting = [n for n in counts if name == "now" or n <= MOST_EARLIER]
        options = f"--sizes={','.join(map(str, fitting))}", f"--calls={10 * calls}", f"--seconds={seconds}"
        found["clicks"][name] = measured("clicks", stores[sizes[0]], work, source, *options)
    save("changes", {"load_average": os.getloadavg(), **found}, results)
    show(found)


def show(found: dict[str, Any]) -> None:
    """The tables."""
    table = Table(title="one item a call: milliseconds, p50 and p99", title_justify="left")
    for column in ("items", "funnel", "what", "change", "", "filtered request after", "", "first"):
        table.add_column(column, justify="right")
    for n, by_source in found["items"].items():
        for source, one in by_source.items():
            for what, row in one.items():
                if isinstance(row, dict) and "change" in row:
                    table.add_row(
                        n,
                        source,
                        what,
                        *_pair(row["change"]),
                        *_pair(row["filtered"]),
                        str(row.get("first", "")),
                    )
    clicks = Table(title="one click a call: milliseconds, p50 and p99", title_justify="left")
    for column in (
        "events",
        "funnel",
        "alone",
        "",
        "beside a reader",
        "",
        "the reader's requests",
        "",
        "MiB",
    ):
        clicks.add_column(column, justify="right")
    for source, one in found["clicks"].items():
        for n, row in one.items():
            if isinstance(row, dict) and "alone" in row:
                pairs = (*_pair(row["alone"]), *_pair(row["beside_reader"]), *_pair(row["reader"]))
                clicks.add_row(n, source, *pairs, str(row["mib"]))
    Console(width=140).print(table, clicks)


def _pair(one: dict[str, float]) -> tuple[str, str]:
    return f"{one['p50']:.3f}", f"{one['p99']:.3f}"


if __name__ == "__main__":
    typer.run(main)
