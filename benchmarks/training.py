"""Training speed: positions a second of our transformer towers, RecTools' SASRec and torch-rechub's SASRec.

Ours with the default loss, which holds each target against every item, as RecTools' does here, and with 512
negatives that a step's positions share; torch-rechub's has one negative a position.

    python -m benchmarks.training amazon-beauty --data PATH
    python -m benchmarks.training amazon-beauty --data PATH --device cuda
    python -m benchmarks.training --items 50000 --items 1000000 --items 10000000

The last asks what a step costs with so many items (see `training_steps`). On a GPU
all train on the same card.

The same log, width, layers, heads, history, positions a step and threads; each trains for the same time,
one after the other, and is then judged on the validation item: every item ranked, what was met left out.
The peers live in an environment of their own, made from benchmarks/peers/training.txt.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
import venv
from pathlib import Path
from typing import Annotated, Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
PEERS = {"RecTools SASRec": "rectools_sasrec.py", "torch-rechub SASRec": "rechub_sasrec.py"}


OURS: dict[str, dict[str, Any]] = {
    "funnel": {},
    "funnel, 512 negatives": {"loss": "sampled_softmax", "negatives": 512},
}


def ours(prepared: Any, options: dict[str, Any], loss: dict[str, Any]) -> dict[str, float]:
    """Positions, seconds (validation apart) and NDCG@10 after as many epochs as the time allows."""
    import torch

    from funnel.towers.training.train import train
    from funnel.towers.training.validate import TorchEncoder, ndcg

    torch.set_num_threads(options["threads"])
    names = ("d", "layers", "heads", "history", "dropout", "lr", "batch")
    changes = {**{name: options[name] for name in names}, **loss, "device": options["device"]}

    def run(epochs: int) -> Any:
        config = prepared.config.towers.model_copy(update={**changes, "epochs": epochs, "patience": 1000})
        return train(
            prepared.split.train, prepared.item_features, prepared.item_encoder.specs,
            prepared.user_features, prepared.user_encoder.specs, prepared.split.ranker, config,
            seed=options["seed"],
        )  # fmt: skip

    one = run(1).epochs[0].seconds
    trained = run(max(1, int(options["seconds"] // one)))
    encoder = TorchEncoder(
        trained.model.query, torch.from_numpy(trained.item_vectors), trained.user_specs,
        trained.config.history, trained.clock,
    )  # fmt: skip
    return {
        "positions": sum(e.positions for e in trained.epochs),
        "seconds": sum(e.seconds for e in trained.epochs),
        "ndcg@10": ndcg(encoder, prepared.split.ranker, 10),
    }


def environment(folder: Path, requirements: str) -> Path:
    """The peers' Python, installed once from a file in peers/."""
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        venv.create(folder, clear=True, with_pip=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "-r", str(HERE / "peers" / requirements)]
        subprocess.run(install, check=True)
        (folder / "ready").touch()
    return python


def peer(python: Path, script: str, log: Path, options: Path) -> dict[str, float]:
    """What a peer's script prints last."""
    done = subprocess.run(
        [str(python), str(HERE / "peers" / script), str(log), str(options)],
        check=True, capture_output=True, text=True, cwd=log.parent,
    )  # fmt: skip
    result: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def main(
    dataset: Annotated[str | None, typer.Argument(help="a config in configs/ that leaves one out")] = None,
    data: Annotated[Path | None, typer.Option(help="the data set's folder")] = None,
    items: Annotated[list[int] | None, typer.Option(help="measure steps over so many items")] = None,
    processes: Annotated[int, typer.Option(help="with --items: that many share the items as well")] = 1,
    device: Annotated[str, typer.Option(help="cpu or cuda, for ours and for the peers")] = "cpu",
    seconds: Annotated[float, typer.Option(help="training time of each")] = 180.0,
    threads: int = 2,
    seed: int = 0,
    work: Annotated[Path, typer.Option(help="where the peers' environment is")] = Path("build/training"),
    results: Annotated[Path, typer.Option(help="where the JSON file goes")] = HERE / "results",
) -> None:
    """Train each for the same time; print positions a second and NDCG@10; or time steps."""
    if items:
        by_items(items, processes, threads, device, results)
        return
    if dataset is None or data is None:
        raise typer.BadParameter("name a data set and its --data, or give --items")
    import funnel.config as configs
    from funnel.evaluation import machine, versions
    from funnel.pipeline import prepare

    logging.basicConfig(level=logging.WARNING)
    options: dict[str, Any] = {
        "d": 64, "layers": 2, "heads": 2, "history": 50, "dropout": 0.2, "lr": 1e-3, "batch": 2048,
        "threads": threads, "seed": seed, "seconds": seconds, "device": device,
    }  # fmt: skip
    prepared = prepare(configs.load(configs.packaged(f"{dataset}.toml"), data=data))
    train, asked = prepared.split.train, prepared.split.ranker
    work = work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    np.savez(
        work / "log.npz", users=train.users, items=train.items, n_users=train.n_users, n_items=train.n_items,
        asking=asked.requests.users, targets=asked.targets.values,
    )  # fmt: skip
    (work / "options.json").write_text(json.dumps(options))
    python = environment(work / "peers", "training.txt")
    found = {name: ours(prepared, options, loss) for name, loss in OURS.items()}
    for name, script in PEERS.items():
        found[name] = peer(python, script, work / "log.npz", work / "options.json")
    table = Table(
        title=f"{dataset}: {seconds:.0f} s of training each, {threads} threads", title_justify="left"
    )
    heads = [f"{name}, times" for name in OURS]
    for column in ("", "positions a second", *heads, "NDCG@10, validation item"):
        table.add_column(column, justify="left" if not column else "right")
    speed = {name: one["positions"] / one["seconds"] for name, one in found.items()}
    for name, one in found.items():
        times = [f"{speed[own] / speed[name]:.1f}" for own in OURS]
        table.add_row(name, f"{speed[name]:,.0f}", *times, f"{one['ndcg@10']:.4f}")
    Console().print(table)
    results.mkdir(parents=True, exist_ok=True)
    about = {
        "dataset": dataset, "checksum": prepared.dataset.checksum(), "options": options, "results": found,
        "positions_a_second": speed, "peers": (HERE / "peers" / "training.txt").read_text().splitlines()[1:],
        "machine": machine(), "versions": versions(),
        "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "python": sys.version.split()[0],
    }  # fmt: skip
    where = "" if device == "cpu" else f"-{device}"
    (results / f"training-{dataset}{where}.json").write_text(json.dumps(about, indent=1) + "\n")


def by_items(sizes: list[int], processes: int, threads: int, device: str, results: Path) -> None:
    """Print and keep what a step costs with so many items."""
    from benchmarks.training_steps import run
    from funnel.evaluation import machine, versions

    found = [run(size, number, threads, device) for size in sizes for number in sorted({1, processes})]
    table = Table(title=f"a step of sampled softmax, {threads} threads, {device}", title_justify="left")
    for column in (
        "items",
        "processes",
        "seconds",
        "processor",
        "in the kernel",
        "memory / table",
        "read out",
    ):
        table.add_column(column, justify="right")
    for each in found:
        for one in each:
            figures = (f"{one[name]:.4f}" for name in ("step_seconds", "step_processor", "step_kernel"))
            memory = (f"{one[name]:.2f}" for name in ("memory_times_table", "with_read_out"))
            table.add_row(f"{one['items']:,}", str(one["processes"]), *figures, *memory)
    Console().print(table)
    results.mkdir(parents=True, exist_ok=True)
    made = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    about = {"results": found, "threads": threads, "device": device, "machine": machine(), "made": made}
    about["versions"] = versions()
    (results / f"training-steps-{device}.json").write_text(json.dumps(about, indent=1) + "\n")


if __name__ == "__main__":
    typer.run(main)
