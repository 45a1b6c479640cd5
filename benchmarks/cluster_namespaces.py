"""A run on two machines that are two network namespaces with a cable between them; needs to be root.
results/cluster-namespaces.json

    python -m benchmarks.cluster_namespaces

Neither sees the other's loopback, as machines do not: whoever listens at 127.0.0.1, or gives an address that
only its own machine has, is found out. The data set of `benchmarks.cluster` is run in one process; on the two
machines; and there with items and training lists in two shards, whose processes speak gloo and LightGBM's
sockets over the cable. Fingerprints must be those of a cluster of two machines in one namespace. Bytes are
those that went over the cable in a run, both ways.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from benchmarks.cluster import differing
from benchmarks.cluster_world import Runs, TwoMachines
from benchmarks.serving import RESULTS, save

#: Namespaces, with the names of their ends of the cable and its addresses.
_MACHINES = (("funnel-a", "fna", "10.231.77.1"), ("funnel-b", "fnb", "10.231.77.2"))
_PORT = 6377

console = Console()


def ip(*arguments: str) -> str:
    """Of iproute2. Raises: CalledProcessError."""
    return subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True).stdout


def inside(number: int) -> list[str]:
    """What stands before a command so that it runs in a namespace."""
    return ["ip", "netns", "exec", _MACHINES[number][0]]


@contextmanager
def cabled() -> Iterator[None]:
    """Both namespaces and the cable, for the block."""
    try:
        for name, _, _ in _MACHINES:
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
        (one, near, _), (other, far, _) = _MACHINES
        ip("-n", one, "link", "add", near, "type", "veth", "peer", "name", far, "netns", other)
        for name, end, address in _MACHINES:
            ip("-n", name, "addr", "add", f"{address}/24", "dev", end)
            ip("-n", name, "link", "set", end, "up")
        yield
    finally:
        for name, _, _ in _MACHINES:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)


@contextmanager
def joined(folder: Path) -> Iterator[str]:
    """A machine of a cluster in each namespace; its address."""
    os.environ["RAY_AUTH_MODE"] = "token"  # as examples/cluster/two-hosts.sh: this user's, which all have
    ray = [str(Path(sys.executable).parent / "ray"), "start", "--block", "--num-cpus=2"]
    address = f"{_MACHINES[0][2]}:{_PORT}"
    starts = (["--head", f"--port={_PORT}", "--include-dashboard=false"], [f"--address={address}"])
    processes = []
    with (folder / "ray").open("w") as out:
        try:
            for number, options in enumerate(starts):
                command = [*inside(number), *ray, f"--node-ip-address={_MACHINES[number][2]}", *options]
                processes.append(subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True))
                time.sleep(15)
            yield address
        finally:
            for number, process in enumerate(processes):
                for pid in ip("netns", "pids", _MACHINES[number][0]).split():
                    os.kill(int(pid), signal.SIGKILL)
                process.wait()


def crossed() -> int:
    """Bytes that went over the cable so far, both ways."""
    end = _MACHINES[0][1]
    base = f"/sys/class/net/{end}/statistics"
    read = [f"cat {base}/{way}_bytes" for way in ("rx", "tx")]
    command = [*inside(0), "sh", "-c", "; ".join(read)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return sum(map(int, said.split()))


def main(
    work: Annotated[Path | None, typer.Option(help="folder; default a temporary one")] = None,
    results: Path = RESULTS,
    seed: int = 0,
) -> None:
    """Run, compare, save."""
    from tests.tiny import write_movies

    settings = {"seed": seed, "epochs": 6}
    with tempfile.TemporaryDirectory() as temporary:
        where = (work or Path(temporary)).absolute()
        data = where / "data"
        data.mkdir(parents=True)
        write_movies(data, users=60, movies=120, seed=seed)
        wanted = {1: Runs(where / "alone", data, shards=1, workers=0, **settings).run(None)}
        together = TwoMachines(cores=2)
        try:
            wanted[2] = Runs(where / "together", data, shards=2, workers=2, **settings).run(together.address)
        finally:
            together.end()
        rows = []
        with cabled(), joined(where) as address:
            for shards in (1, 2):
                runs = Runs(where / f"apart-{shards}", data, shards=shards, workers=4, **settings)
                before = crossed()
                got = runs.run(address, before=inside(0))
                row: dict[str, Any] = {
                    "shards": shards,
                    "steps": len(got),
                    "over_the_cable": crossed() - before,
                }
                rows.append({**row, "differ": differing(wanted[shards], got)})
                console.print(rows[-1])
        about = {"seed": seed, "config": settings, "machines": 2, "cores_each": 2, "runs": rows}
        console.print(save("cluster-namespaces", about, results))


if __name__ == "__main__":
    typer.run(main)
