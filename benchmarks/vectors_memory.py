"""What a bundle takes in memory while it serves, and in files, with vectors of a form:
results/vectors-memory.json.

    python -m benchmarks.vectors_memory --indexes big --forms float32,int8/4

For each form a bundle is made from the published one, with its index or one that is built again, and a
fresh process serves it: users by chance, one after the other, until memory has been looked at often enough.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import typer
from rich.console import Console

from benchmarks.serving import RESULTS, percentiles, save
from funnel import Live
from funnel.artifacts import Store
from funnel.artifacts.manifest import Manifest
from funnel.bundle.contents import load_contents
from funnel.index import FaissIndex, IndexConfig
from funnel.serving.request import of_users
from funnel.vectors import Form, ItemVectors

#: Requests between two looks at memory.
_LOOKS = (1, 100, 1000, 5000)
#: Requests after which it is counted anew which pages are read.
_WARM = 100


def with_form(source: Store, target: Store, form: Form, shards: int, threads: int) -> tuple[str, float]:
    """A bundle of a store in another one, with vectors of a form; and the seconds that its index took.

    shards: 0 keeps the index as it is, which takes as much memory as one of other codes.
    """
    folder = source.path("current")
    about, left_out = Manifest.load(folder), ["manifest.json", *["index"] * (shards > 0)]
    with target.writing(f"{form}-{shards}") as draft:
        shutil.copytree(
            folder, draft.folder, dirs_exist_ok=True, copy_function=os.link, ignore=_but(*left_out)
        )
        path = draft.folder / "towers" / "item_vectors.npy"
        vectors = ItemVectors.load(path, about.config["towers"]["d"])
        path.unlink()  # it is a link, and what is mapped stays
        vectors.kept(form).save(path)
        seconds = _built(folder, draft.folder, shards, threads) if shards else 0.0
        draft.describe(
            towers_fingerprint=about.towers_fingerprint,
            schema_fingerprint=about.schema_fingerprint,
            config=about.config,
        )
    target.publish(draft.version)
    return draft.version, seconds


def _built(source: Path, folder: Path, shards: int, threads: int) -> float:
    """Build the index again over the vectors in a folder; how many seconds it took."""
    contents = load_contents(source)
    assert isinstance(contents.index, FaissIndex)
    info, began = contents.index.info, time.perf_counter()
    users = np.sort(np.random.default_rng(0).permutation(len(contents.users.ids))[:100])
    FaissIndex.build(
        ItemVectors.load(folder / "towers" / "item_vectors.npy", info.dimension),
        IndexConfig(spec=info.spec, k=info.recall_k, recall=info.recall_goal, shards=shards),
        contents.queries.encode(of_users(contents, users)),
        seed=info.seed,
        towers_fingerprint=info.towers_fingerprint,
        threads=threads,
    ).save(folder / "index")
    return time.perf_counter() - began


def _but(*names: str) -> Any:
    return lambda folder, inside: set(names) & set(inside)


def files(folder: Path) -> dict[str, float]:
    """MiB of the files of each part."""
    parts: dict[str, float] = {}
    for path in folder.rglob("*"):
        if path.is_file():
            part = path.relative_to(folder).parts[0]
            parts[part] = parts.get(part, 0.0) + path.stat().st_size / 2**20
    return {part: round(size, 1) for part, size in sorted(parts.items())}


def serve(store: Path) -> None:
    """In a process of its own: a line of JSON for each look."""
    live = Live(store, impressions=False)
    users = live.contents.users.ids.values
    drawn = iter(users[np.random.default_rng(1).integers(len(users), size=_LOOKS[-1])].tolist())
    answered, taken = 0, []
    for look in _LOOKS:
        while answered < look:
            start = time.thread_time()
            live.recommend(next(drawn))
            taken.append(time.thread_time() - start)
            answered += 1
        _say({"requests": answered, **dict(_memory())})
        if look == _WARM:
            Path("/proc/self/clear_refs").write_text("1")  # from here on pages that are read are counted
    _say({"processor_milliseconds": percentiles(taken[_WARM:])})
    live.close()


def _say(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")


def _memory() -> Iterator[tuple[str, float]]:
    """MiB of this process: all that is resident, what of it is its own and no page of a file, and what was
    read or written since the first requests: what it needs. Checking a bundle's hashes reads all of it."""
    kept = {"Rss": "resident_mib", "Anonymous": "own_mib", "Referenced": "used_mib"}
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name in kept:
            yield kept[name], round(int(rest.split()[0]) / 1024, 1)


def looked_at(store: Path) -> list[dict[str, Any]]:
    """What `serve` says, in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.vectors_memory", "--serve", str(store)]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [json.loads(line) for line in out.splitlines() if line.startswith("{")]


def main(
    indexes: Annotated[Path, typer.Option(help="a store with a published bundle")] = Path("big"),
    work: Annotated[Path, typer.Option(help="where the bundles are made")] = Path("vectors-memory"),
    forms: Annotated[
        str, typer.Option(help="form, or form/shards, which builds the index again")
    ] = "float32,int8/4",
    threads: int = 2,
    results: Path = RESULTS,
    serve_store: Annotated[Path | None, typer.Option("--serve", hidden=True)] = None,
) -> None:
    """Make the bundles, look, print and save."""
    if serve_store is not None:
        return serve(serve_store)
    source, about = Store(indexes), {}
    for one in forms.split(","):
        form, _, shards = one.partition("/")
        target = Store(work / one.replace("/", "-"))
        version, seconds = with_form(source, target, form, int(shards or 0), threads)  # type: ignore[arg-type]
        index = json.loads((target.path(version) / "index" / "index.json").read_text())
        about[one] = {
            "files_mib": files(target.path(version)), "index_seconds": round(seconds, 1),
            "index": {name: index[name] for name in ("spec", "size", "params", "recall", "recall_k")},
            "looks": looked_at(target.folder),
        }  # fmt: skip
        Console().print(one, about[one])
    save("vectors-memory", {"bundles": about}, results)
    return None


if __name__ == "__main__":
    typer.run(main)
