"""Does what is published or acknowledged survive: writers are killed (SIGKILL) at random moments.

    python -m benchmarks.faults --kills 200

A third of the kills fall, evenly over its duration, on a process that builds a bundle and publishes it
through the gates; a third on one that publishes and rolls back without pause; a third on one that changes the
items of the bundle in use without pause: upserts, deletes, compactions. After the last, a fresh process must
know every change that was acknowledged, and may know the one that was not; changes from before the data of a
bundle were read are not made on it, and are gone in time. After each of the others the published version must
be the one from before or the one that was being published, every listed version must verify, the history must
end with what is published, and a fresh process must answer from it. The next writer goes on from there.

Then four processes change and ask one store for a minute, at full speed, while they are killed, the disk is
full, writes fail and a clock is wrong; see `benchmarks.faults_live`.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
import time
from collections import Counter
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Annotated, Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import pandas as pd
import typer
from rich.console import Console
from rich.progress import track

from benchmarks.faults_live import Faults
from benchmarks.faults_record import MOVIES
from benchmarks.serving import save
from funnel.artifacts import Store
from funnel.config import Config, parse

HERE = Path(__file__).parent
MOMENTS = ("starting", "reading", "building", "judging and publishing", "changing items", "compacting")


def config(data: Path, seed: int) -> Config:
    """A bundle that is built within seconds; each seed gives another one."""
    return parse(
        {
            "name": "faults", "seed": seed, "data": {"reader": "movielens", "path": str(data)},
            "split": {"kind": "time", "protocol": "event", "ranker": 0.6, "test": 0.8},
            "towers": {"d": 8, "layers": 1, "heads": 1, "epochs": 1, "history": 10},
            "ranker": {"trees": 5, "leaves": 7, "lists": 200}, "retrieve": {"k": 30},
            "evaluate": {"ks": [10], "latency_requests": 1}, "gates": {"holdout": 50},
        }
    )  # fmt: skip


def train(data: Path, embeddings: Path) -> None:
    """The towers that every build starts from."""
    from funnel.pipeline import prepare, train_towers

    train_towers(prepare(config(data, 0)), Store(embeddings))


def make(data: Path, folder: Path, seed: int, moment: Any) -> None:
    """Build and publish, whatever the gates say: faults of writing are looked for, not of learning."""
    from funnel.gates import publish
    from funnel.pipeline import build, prepare

    moment.value = 1
    prepared = prepare(config(data, seed))
    moment.value = 2
    embeddings = Store(folder / "embeddings")
    store = Store(folder / "indexes")
    built = build(prepared, embeddings.path(embeddings.versions()[0].version), store)
    moment.value = 3
    publish(store, built.version, force=True)


def swap(folder: Path, moment: Any) -> None:
    """Publish the two newest versions in turn, and roll back, until killed."""
    store = Store(folder / "indexes")
    newest = [one.version for one in store.versions()[:2]]
    moment.value = 3
    while True:
        for version in newest:
            store.publish(version)
        store.rollback()


def upserted(number: int) -> pd.DataFrame:
    """The items of the change of this number: always the same twenty, of another year."""
    ids = np.arange(1000, 1020)
    return pd.DataFrame({"item_id": ids, "title": "new", "genres": [["Western"]] * 20, "year": float(number)})


def change(folder: Path, moment: Any, acknowledged: Any, first: int) -> None:
    """Change items until killed; `acknowledged` is the number of the last change that was."""
    from funnel import Live

    items = Live(folder / "indexes").items
    number, moment.value = first, 4
    while True:
        items.upsert(upserted(number))
        acknowledged.value = 2 * number
        items.delete([1000 + number % 20])
        acknowledged.value = 2 * number + 1
        number += 1
        if number % 3 == 0:
            moment.value = 5
            items.compact()
            moment.value = 4


def known(folder: Path, reply: Any) -> None:
    """Year by id of the items that a fresh process knows of those that were changed."""
    from funnel import Live

    answer = Live(folder / "indexes").recommend("someone", k=100, where={"genres": "Western"})
    reply.put({item.item_id: item.attributes["year"] for item in answer.items})


def after(change: int) -> dict[int, float]:
    """What must be known after the change of this number; -1 is none."""
    number, deleted = divmod(change, 2)
    items = {} if change < 0 else dict.fromkeys(range(1000, 1020), float(number))
    if deleted:
        items.pop(1000 + number % 20, None)
    return items


def answer(folder: Path, reply: Any) -> None:
    """What a fresh process serves."""
    from funnel import Live

    given = Live(folder / "indexes").recommend(7)
    reply.put((given.version, len(given.items)))


class Campaign:
    """A store, and processes that are killed while they write to it."""

    def __init__(self, folder: Path, data: Path) -> None:
        self.folder, self.data, self.store = folder, data, Store(folder / "indexes")
        self.context: ForkServerContext = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(["funnel.pipeline", "funnel.gates", "funnel.serving.live"])
        self.seed, self.changes, self.changed_at = 0, -1, 0.0
        self.run(train, data, folder / "embeddings")

    def run(self, work: Any, *arguments: Any) -> None:
        """To its end."""
        process = self.context.Process(target=work, args=arguments)
        process.start()
        process.join()
        assert process.exitcode == 0, f"{work.__name__} ended with {process.exitcode}"

    def finish(self) -> float:
        """One build and publication that nobody disturbs; its seconds."""
        self.seed += 1
        start = time.perf_counter()
        self.run(make, self.data, self.folder, self.seed, self.context.Value("i", 0))
        self.check({self.store.versions()[0].version})
        return time.perf_counter() - start

    def kill(self, kind: str, seconds: float) -> str:
        """Start a writer, kill it after so many seconds, check; at which moment it was."""
        moment, before = self.context.Value("i", 0), self.store.current()
        known = {one.version for one in self.store.versions()}
        self.seed += 1
        arguments = (self.data, self.folder, self.seed, moment) if kind == "build" else (self.folder, moment)
        process = self.context.Process(target=make if kind == "build" else swap, args=arguments)
        process.start()
        while moment.value == 0 and process.is_alive():
            time.sleep(0.0005)
        time.sleep(seconds)
        process.kill()
        process.join()
        assert process.exitcode in (0, -signal.SIGKILL), f"the writer failed by itself: {process.exitcode}"
        written = {one.version for one in self.store.versions()} - known
        self.check({before} | written if kind == "build" else known)
        return MOMENTS[moment.value] if process.exitcode else "too late"

    def kill_changes(self, seconds: float) -> str:
        """As `kill`, for changes of items."""
        moment, acknowledged = self.context.Value("i", 0), self.context.Value("q", self.changes)
        process = self.context.Process(
            target=change, args=(self.folder, moment, acknowledged, self.changes // 2 + 1)
        )
        process.start()
        while moment.value == 0 and process.is_alive():
            time.sleep(0.0005)
        time.sleep(seconds)
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL, f"the writer failed by itself: {process.exitcode}"
        reply = self.context.Queue()
        self.run(known, self.folder, reply)
        found, last = reply.get(timeout=60), acknowledged.value
        begun = last + 1 if last > self.changes else 2 * (self.changes // 2 + 1)
        possible = [after(last), after(begun)]
        if last == self.changes and self.changed_at < self.newest_data():
            possible.append({})  # data that were read after the changes have them, or have others
        assert found in possible, f"after change {last} there was {found}"
        if found == after(begun) or last > self.changes:
            self.changes = last if found == after(last) else begun
            self.changed_at = time.time()
        return MOMENTS[moment.value]

    def newest_data(self) -> float:
        """When reading began of the newest data of a bundle: changes from before that are not kept."""
        return max(self.store.verify(one.version).data_read for one in self.store.versions())

    def check(self, expected: set[str]) -> None:
        """What is published is expected, whole, on record, and answers; whatever is listed is whole."""
        current = self.store.current()
        assert current in expected, f"{current} is published; expected one of {expected}"
        for one in self.store.versions():
            self.store.verify(one.version)
        assert self.store.publications()[-1].version == current
        reply = self.context.Queue()
        self.run(answer, self.folder, reply)
        assert reply.get(timeout=60) == (current, 10)


def campaign(folder: Path, data: Path, kills: int, seed: int = 0) -> dict[str, Any]:
    """Kill as often as that; how often at which moment. Raises: AssertionError at the first fault."""
    run, rng = Campaign(folder, data), np.random.default_rng(seed)
    run.finish()
    lasts = run.finish()
    moments: Counter[str] = Counter()
    for number in track(range(kills), "Killing", console=Console(stderr=True)):
        kind, longest = (("build", lasts), ("swap", 0.2), ("items", 0.5))[number % 3]
        if kind == "items":
            moments[f"items: {run.kill_changes(rng.uniform(0, longest))}"] += 1
            continue
        while (at := run.kill(kind, rng.uniform(0, longest))) == "too late":
            continue  # it had ended by itself
        moments[f"{kind}: {at}"] += 1
    run.finish()
    left = [path.name for path in run.store.folder.iterdir() if path.name.startswith(".draft-")]
    assert not left, f"drafts were left: {left}"
    return {"kills": kills, "moments": dict(sorted(moments.items())), "seconds_of_a_build": lasts}


def under_load(folder: Path, seconds: float, kills: int, full: int, seed: int = 0) -> dict[str, Any]:
    """Processes that change and ask a store of 500 movies meanwhile; see `benchmarks.faults_live`."""
    from tests.tiny import build_movies, write_movies

    write_movies(folder, users=200, movies=MOVIES, seed=seed)
    build_movies(folder, folder)
    return Faults(folder, seed).run(seconds, kills, full)


def main(
    kills: Annotated[int, typer.Option(help="of those who build, publish or change, one at a time")] = 200,
    seconds: Annotated[float, typer.Option(help="of four processes at full speed; 0 for none")] = 60,
    kills_under_load: int = 10,
    full_disks: int = 2,
    seed: int = 0,
    results: Annotated[Path, typer.Option(help="where the JSON files go")] = HERE / "results",
) -> None:
    """Kill, check, and write down how often at which moment; then the same under load."""
    from tests.tiny import write_movies

    if kills:
        with tempfile.TemporaryDirectory() as place:
            data = Path(place) / "data"
            data.mkdir()
            write_movies(data, users=80, movies=60, seed=seed)
            found = campaign(Path(place), data, kills, seed)
        save("faults", {**found, "faults": 0, "seed": seed}, results)
        Console().print_json(data=found)
    if seconds:
        with tempfile.TemporaryDirectory() as place:
            found = under_load(Path(place), seconds, kills_under_load, full_disks, seed)
        save("faults-live", {**found, "seed": seed, "load_average": os.getloadavg()}, results)
        Console().print_json(data=found)


if __name__ == "__main__":
    typer.run(main)
