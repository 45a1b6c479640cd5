"""Processes that change and ask one store while they are killed, disks fail, and clocks jump.

Every process has users and items of its own, so that it is known in which order each was changed. Afterwards
a fresh process is asked what became of all that was acknowledged, and of all that was refused.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import typer

from benchmarks.faults_record import PROCESSES, Change, Shared, changes, lines

HERE = Path(__file__).parent
#: MiB of the disk that is filled.
DISK = 256
#: The part of the time in which nothing is done to them, at first.
_PEACE = 0.25
_START = 300.0


@dataclass
class Faults:
    """A store, processes on it, and what is done to them. folder: has `indexes`, with a bundle."""

    folder: Path
    seed: int = 0
    environment: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    done: Counter[str] = field(default_factory=Counter)
    died: list[str] = field(default_factory=list)
    _workers: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)
    _generations: Counter[int] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.shared, self.rng = Shared(self.folder / "shared"), np.random.default_rng(self.seed)
        self.live, self.flag = self.folder / "indexes" / "live", self.folder / "broken"

    def run(self, seconds: float, kills: int, full: int) -> dict[str, Any]:
        """Start them, do all of that to them within so many seconds, stop them; what they and a fresh process
        say."""
        self.live.mkdir(parents=True, exist_ok=True)
        with self._small_disk():
            self._preload()
            for process in range(PROCESSES):
                self._start(process)
            self._wait(lambda: bool((self.shared.ready >= 1).all()))
            began = time.monotonic()
            time.sleep(seconds * _PEACE)
            for at, act in self._plan(seconds, kills, full):
                time.sleep(max(0.0, began + at - time.monotonic()))
                act()
                self._look()
            time.sleep(max(0.0, began + seconds - time.monotonic()))
            self._stop()
            return self._found(began, seconds * _PEACE, time.monotonic() - began)

    def _plan(self, seconds: float, kills: int, full: int) -> list[tuple[float, Callable[[], None]]]:
        """What is done when, in seconds from the start."""
        acts: list[tuple[float, Callable[[], None]]] = []
        kill_at = np.sort(self.rng.uniform(0.05, 0.85, size=kills)) * seconds
        acts += [(float(at), self._kill) for at in kill_at]
        if "full disk" not in self.skipped:
            acts += [((0.2 + 0.5 * n / max(1, full)) * seconds, self._fill) for n in range(full)]
        if "broken disk" not in self.skipped:
            acts += [(part * seconds, why) for part, why in ((0.35, self._break), (0.6, self._full_by_shim))]
        acts += [
            (part * seconds, lambda hours=hours: self._clock(hours))  # type: ignore[misc]
            for part, hours in ((0.15, -1), (0.5, 1), (0.8, 0))
        ]
        return sorted(
            ((seconds * _PEACE + (1 - _PEACE) * at, act) for at, act in acts), key=lambda one: one[0]
        )

    def _start(self, process: int) -> None:
        self._generations[process] += 1
        arguments = map(str, (self.folder, process, self._generations[process]))
        log = (self.folder / f"log-{process}").open("ab")
        self._workers[process] = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.faults_worker", *arguments],
            env={**os.environ, **self.environment}, stdout=log, stderr=log, cwd=HERE.parent,
        )  # fmt: skip
        log.close()

    def _wait(self, ready: Callable[[], bool]) -> None:
        until = time.monotonic() + _START
        while not ready():
            self._look()
            assert time.monotonic() < until, "the processes did not start; see the logs in the folder"
            time.sleep(0.01)

    def _look(self) -> None:
        """One that ended by itself is a fault, and is replaced."""
        for process, worker in list(self._workers.items()):
            if worker.poll() is not None:
                tail = (self.folder / f"log-{process}").read_text(errors="replace")[-500:]
                self.died.append(f"process {process} ended with {worker.returncode}: {tail}")
                assert len(self.died) < 20, self.died[0]
                self._start(process)

    def _kill(self) -> None:
        process = int(self.rng.integers(PROCESSES))
        worker = self._workers[process]
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        serving = self.shared.ready[process] == self._generations[process]
        self.done["kills" if serving else "kills while starting"] += 1
        self._start(process)

    def _fill(self) -> None:
        """No space for a second."""
        ballast = self.live / "ballast"
        with ballast.open("wb", buffering=0) as file:
            for size in (1 << 20, 1 << 12):
                with suppress(OSError):
                    while True:
                        file.write(b"x" * size)
            time.sleep(1)
        ballast.unlink()
        self.done["full disks"] += 1

    def _break(self) -> None:
        self._flagged("EIO")

    def _full_by_shim(self) -> None:
        self._flagged("NO SPACE")

    def _flagged(self, why: str) -> None:
        """Writes fail for half a second."""
        self.flag.write_text(why)
        time.sleep(0.5)
        self.flag.unlink()
        self.done[f"half seconds of {why}"] += 1

    def _clock(self, hours: int) -> None:
        self.shared.clock[PROCESSES - 1] = 3600.0 * hours
        self.done["clock jumps"] += 1

    def _stop(self) -> None:
        self.shared.stop[0] = 1
        for process, worker in self._workers.items():
            if worker.wait(_START) != 0:
                self.died.append(f"process {process} ended with {worker.returncode}")

    @contextmanager
    def _small_disk(self) -> Iterator[None]:
        """The state on a file system of its own, where that may be mounted."""
        command = ["mount", "-t", "tmpfs", "-o", f"size={DISK}m", "tmpfs", str(self.live)]
        try:
            mounted = subprocess.run(command, capture_output=True, text=True, check=False)
            refused = mounted.stderr.strip() or None if mounted.returncode else None
        except OSError as error:
            refused = str(error)
        if refused is not None:
            self.skipped["full disk"] = f"no file system may be mounted here: {refused}"
        self.skipped["read-only disk"] = "no file system is made read-only while its files are open"
        try:
            yield
        finally:
            for worker in self._workers.values():
                worker.kill()
                worker.wait()
            if refused is None:
                subprocess.run(["umount", "-l", str(self.live)], check=False)

    def _preload(self) -> None:
        """Have the processes load what lets writes fail."""
        compiler = shutil.which("cc")
        if compiler is None or sys.platform != "linux":
            self.skipped["broken disk"] = "there is no C compiler, or another system than Linux"
            return
        shim = self.folder / "shim.so"
        subprocess.run(
            [compiler, "-shared", "-fPIC", "-O1", str(HERE / "faults_shim.c"), "-o", str(shim), "-ldl"],
            check=True,
        )
        self.environment = {"LD_PRELOAD": str(shim), "FAULTS_FLAG": str(self.flag)}

    def _found(self, began: float, peace: float, seconds: float) -> dict[str, Any]:
        """Figures, and the faults: what processes said, and what a fresh one serves."""
        said = [line for process in range(PROCESSES) for line in lines(self.folder, process)]
        whole = [change for process in range(PROCESSES) for change in changes(self.folder, process)]
        outcomes = Counter((one.what, one.outcome) for one in whole)
        faults = Counter(line[1] for line in said if line[0] == "fault")
        lost, after = served(self.folder)
        found = {
            "lost or kept wrongly": len(lost), "deleted items in answers": faults["deleted item"],
            "stale answers": faults["stale"], "no answer": faults["no answer"], "errors": faults["error"],
            "children that failed": faults["child"], "processes that died": len(self.died),
        }  # fmt: skip
        told = [str(line[1:]) for line in said if line[0] == "fault"]
        kinds, ways = sorted({one.what for one in whole}), ("kept", "not there", "refused", "unknown")
        return {
            "seconds": round(seconds, 1), "processes": PROCESSES, "done": dict(self.done),
            "skipped": self.skipped, "faults": found, "examples": [*lost, *self.died, *told][:20],
            "changes": {what: {way: outcomes[what, way] for way in ways} for what in kinds},
            "in_peace": _phase(said, began, began + peace),
            "under_faults": _phase(said, began + peace, began + seconds), "after": after,
        }  # fmt: skip


def _phase(said: list[list[Any]], began: float, ended: float) -> dict[str, Any]:
    """What was kept and answered a second between two moments, and how soon it was visible elsewhere."""
    n, what = Counter[str](), ""
    for line in said:
        if line[0] == "begin":
            what = line[1]
        elif line[0] == "done" and line[1] == "kept" and began <= line[2] < ended:
            n[what] += 1
        elif line[0] == "answers" and began <= line[1] < ended:
            n["request"] += line[2]
    seen = [one for one in said if one[0] == "visible" and began <= one[3] < ended]

    def delays(column: int) -> dict[str, Any]:
        return {
            name: _delays([one[column] for one in seen if one[1] == kind])
            for kind, name in enumerate(("an item", "a click"))
        }

    return {
        "per_second": {k: round(v / (ended - began), 1) for k, v in sorted(n.items())},
        "last_missing_ms": delays(4),
        "first_seen_ms": delays(2),
    }


def _delays(milliseconds: list[float]) -> dict[str, float]:
    p50, p99, most = np.quantile(milliseconds or [np.nan], [0.5, 0.99, 1.0])
    return {"p50": round(p50, 2), "p99": round(p99, 2), "max": round(most, 2), "n": len(milliseconds)}


def served(folder: Path) -> tuple[list[str], dict[str, Any]]:
    """What a fresh process serves that it must not, or not what it must; and how it is."""
    command = [sys.executable, "-m", "benchmarks.faults_live", str(folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, cwd=HERE.parent, text=True)
    wrong, after = json.loads(done.stdout.splitlines()[-1])
    return wrong, after


#: An item as it is: whether it may be returned, and its year; the year is None where the bundle's is.
State = tuple[bool, float | None]


def states(of_item: list[Change], before: State) -> set[State]:
    """All that may have become of an item: each change that is not known to be kept may or may not be."""
    found = {before}
    for one in of_item:
        if one.outcome in ("refused", "not there"):
            continue
        made = {_changed(one, state) for state in found}
        found = made if one.outcome == "kept" else found | made
    return found


def _changed(change: Change, state: State) -> State:
    if change.what == "upsert":
        return True, change.value
    if change.what == "delete":
        return False, state[1]
    return (True, change.value) if state[0] else state


def missed(clicks: list[Change], kept: list[int]) -> str | None:
    """What is wrong with the newest events of a user, oldest first, as they are kept."""
    place = len(kept) - 1
    for one in reversed([one for one in clicks if one.outcome != "refused"]):
        if place < 0 and len(kept) >= 200:
            return None
        if place >= 0 and kept[place] == int(one.value):
            place -= 1
        elif one.outcome == "kept":
            return f"a click on {int(one.value)} is lost, or there was another"
    return None if place < 0 else f"a click on {kept[place]} is kept that was refused or never made"


def check(folder: Path) -> tuple[list[str], dict[str, Any]]:
    """In a fresh process: what it serves, beside what was acknowledged."""
    from funnel import Live

    live, wrong, n = Live(folder / "indexes"), list[str](), Counter[str]()
    served_years = {item.item_id: item.attributes["year"] for item in live.recommend("new", k=10**6).items}
    with tempfile.TemporaryDirectory() as place:
        bundled_years = _as_built(folder / "indexes", Path(place))
    for process in range(PROCESSES):
        by_key: dict[tuple[bool, int], list[Change]] = {}
        for one in changes(folder, process):
            by_key.setdefault((one.what == "click", one.key), []).append(one)
        for (clicked, key), some in by_key.items():
            n["users" if clicked else "items"] += 1
            if clicked:
                fault = missed(some, [int(event.item_id) for event in live.users.events(key)])
            else:
                before = (key in bundled_years, bundled_years.get(key))
                fault = mistaken(states(some, before), key in served_years, served_years.get(key))
            if fault is not None:
                wrong.append(f"{'user' if clicked else 'item'} {key} of process {process}: {fault}")
    answers, state = len(live.recommend(7).items), live.health()["state"]
    return wrong, {"answers": answers, "checked": dict(n), "state": state}


def mistaken(possible: set[State], there: bool, year: float | None) -> str | None:
    """What is wrong with an item as it is served."""
    if (there and (True, year) in possible) or (not there and any(not living for living, _ in possible)):
        return None
    return f"served: {there}, {year}; possible: {sorted(map(str, possible))}"


def _as_built(store: Path, place: Path) -> dict[int, float | None]:
    """Years by id of the bundle without what was changed."""
    from funnel import Live

    without = shutil.copytree(store, place / "indexes", ignore=shutil.ignore_patterns("live"))
    return {item.item_id: item.attributes["year"] for item in Live(without).recommend("new", k=10**6).items}


def main(folder: Path) -> None:
    """The check, as JSON."""
    typer.echo(json.dumps(check(folder)))


if __name__ == "__main__":
    typer.run(main)
