"""The same bundle from a cluster as from one process, and after losses in each step. results/cluster.json

    python -m benchmarks.cluster [--quick]

Two machines of a Ray cluster are made on this one. A data set like MovieLens is made, and run from raw
events to the published bundle: in one process; on the cluster with 1, 2 and 4 workers; and with items and
training lists in two shards, whose towers and trees two processes learn together. Fingerprints of each step
must be the same (but those of verdicts, which hold milliseconds).

Then each step is run again, and meanwhile a worker, a machine, or the command itself is killed: the same
results, and at most two epochs of the towers are trained again. At last the store's disk is full
(`--full-disk`, which mounts one and needs to be root), and the store goes away: the run must end with one
sentence, leave the published bundle as it is, and give the same when it is well again.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from benchmarks.cluster_world import Runs, TwoMachines, kill_driver, kill_worker
from benchmarks.serving import RESULTS, save
from funnel.artifacts import Store

#: Steps of which workers do parts, and those that the command does alone.
IN_PARTS = ("train", "build", "rank", "evaluate", "gate")
ALONE = ("ingest", "validate", "export", "publish")

#: A verdict has milliseconds in it, which differ from run to run.
TIMED = "gate"

console = Console()


def differing(wanted: dict[str, str], got: dict[str, str]) -> list[str]:
    """Steps whose results are not the same."""
    return sorted(step for step in wanted if step != TIMED and got[step] != wanted[step])


def equal(work: Path, data: Path, machines: TwoMachines, counts: list[int], settings: dict[str, int]) -> Any:
    """Fingerprints by step without a cluster and on one, by the number of workers."""
    one = Runs(work / "alone", data, shards=1, workers=0, **settings)
    alone = one.run(None)
    console.print(alone)
    rows = []
    first: Runs | None = None
    for shards in (1, 2):
        for count in counts:
            runs = Runs(work / f"{shards}-{count}", data, shards=shards, workers=count, **settings)
            got = runs.run(machines.address)
            first = first or (runs if shards == 2 else None)
            wanted = alone if shards == 1 else first.outputs() if first else got
            differs = differing(wanted, got)
            rows.append({"shards": shards, "workers": count, "steps": len(got), "differ": differs})
            console.print(rows[-1])
    assert first is not None
    validation = {
        "one process": one.facts("train")["validation_ndcg@100"],
        "two shards": first.facts("train")["validation_ndcg@100"],
    }
    return first, {"fingerprints": rows, "validation_ndcg@100": validation}


def killed(work: Path, whole: Runs, machines: TwoMachines, steps: list[tuple[str, str]]) -> Any:
    """What comes of a step in which somebody is killed."""
    wanted, rows = whole.outputs(), []
    for step, who in steps:
        folder = _fresh(work / f"{step}-{who}")
        anew = step == "train"  # else towers of the same inputs would be taken from the store
        runs = whole.anew_in(folder) if anew else whole.copy_to(folder)
        lines = len(runs.journal())
        process = runs.start(machines.address, None if anew else step)
        runs.wait_for(step, process, lines)
        if anew:
            runs.wait_for_epochs(2, process)
        if who == "driver":
            hit = kill_driver(step, runs, process)
            runs.run(machines.address)
        elif who == "worker":
            hit = kill_worker(step, runs, process)
            runs.ended(process)
        else:
            hit = "a machine"
            machines.lose_one()
            runs.ended(process)
            machines.whole_again()
        got = runs.outputs()
        differs = differing(wanted, got)
        about: dict[str, Any] = {"step": step, "killed": hit, "differ": differs}
        if step == "train":
            about["epochs_again"] = runs.epochs() - whole.epochs()
        rows.append({**about, "left_over": runs.leftovers()})
        console.print(rows[-1])
        shutil.rmtree(runs.folder)
    return rows


def full_disk(work: Path, whole: Runs, machines: TwoMachines) -> Any:
    """A run whose store has no room for what it makes, and again with room."""
    rows = []
    for step in ("train", "build", "evaluate"):
        with _disk(work / "disk") as disk:
            runs = whole.copy_to(disk)
            _resize(disk, shutil.disk_usage(disk).used + 200_000)
            about = _said(runs, runs.start(machines.address, step))
            published = Store(runs.folder / "indexes").verify("current").version
            _resize(disk, 2**30)
            stays = published == whole.outputs()["publish"]
            rows.append(
                {"step": step, **about, "published_stays": stays, **_well_again(runs, whole, machines)}
            )
            console.print(rows[-1])
    return rows


def gone(work: Path, whole: Runs, machines: TwoMachines) -> Any:
    """A run whose store is taken away in the middle of a step, and again when it is back."""
    rows = []
    for step in ("train", "rank"):
        runs = whole.copy_to(_fresh(work / f"gone-{step}"))
        lines, here, away = len(runs.journal()), runs.folder / "indexes", runs.folder / "away"
        process = runs.start(machines.address, step)
        runs.wait_for(step, process, lines)
        here.rename(away)
        about = _said(runs, process)
        if here.exists():
            shutil.rmtree(here)
        away.rename(here)
        rows.append({"step": step, **about, **_well_again(runs, whole, machines)})
        console.print(rows[-1])
    return rows


def _said(runs: Runs, process: subprocess.Popen[str]) -> dict[str, Any]:
    code = process.wait(900)
    said = (runs.folder / "err").read_text()
    at = said.rfind("error ")
    sentence = " ".join(said[max(0, at) :].split())
    return {"exit": code, "traceback": "Traceback" in sentence, "said": sentence[:300]}


def _well_again(runs: Runs, whole: Runs, machines: TwoMachines) -> dict[str, Any]:
    wanted, left = whole.outputs(), runs.leftovers()
    got = runs.run(machines.address)
    return {"left_over": left, "differ_after": differing(wanted, got)}


@contextmanager
def _disk(folder: Path) -> Iterator[Path]:
    """A disk of its own."""
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1g", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def _resize(disk: Path, size: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", str(disk)], check=True)


def _fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def main(
    quick: Annotated[bool, typer.Option("--quick", help="fewer numbers of workers, and fewer kills")] = False,
    full: Annotated[bool, typer.Option("--full-disk", help="also fill a disk; needs to be root")] = False,
    work: Annotated[Path | None, typer.Option(help="folder; default a temporary one")] = None,
    results: Path = RESULTS,
    seed: int = 0,
) -> None:
    """Run, kill, compare, save."""
    from tests.tiny import write_movies

    settings = {"seed": seed, "epochs": 6 if quick else 12}
    kills = [(step, who) for who in ("worker", "machine", "driver") for step in IN_PARTS]
    kills += [(step, "driver") for step in ALONE]
    if quick:
        kills = [(step, who) for step in ("train", "build") for who in ("worker", "machine", "driver")]
    with tempfile.TemporaryDirectory() as temporary:
        where = work or Path(temporary)
        data = _fresh(where / "data")
        write_movies(data, users=60, movies=120, seed=seed)
        machines = TwoMachines(cores=2)
        about: dict[str, Any] = {"seed": seed, "config": settings, "machines": 2, "cores_each": 2}
        try:
            whole, about["equal"] = equal(where, data, machines, [1, 2] if quick else [1, 2, 4], settings)
            about["killed"] = killed(where, whole, machines, kills)
            if full:
                about["full_disk"] = full_disk(where, whole, machines)
            about["store_gone"] = gone(where, whole, machines)
        finally:
            machines.end()
        console.print(save("cluster-quick" if quick else "cluster", about, results))


if __name__ == "__main__":
    typer.run(main)
