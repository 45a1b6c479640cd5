"""How much memory a step of one machine takes: bytes an event, an impression and an item.

    python -m benchmarks.memory --events 1e6                 a world of a million events and impressions
    python -m benchmarks.memory --events 1e8 --most-gib 8    the whole: ends with an error above 8 GiB
    python -m benchmarks.memory --events 1e8 --line 1000000 10000000    what two results on file say of it

Each step runs in one process, in this order, and what it leaves is there in the next: reading the folder
(ids encoded, checked, sorted), the checksum, the log, the split, the profile, the counts, co-visitation. The
peak of resident memory is set back before each (`/proc/self/clear_refs`); what is mapped from a file and can
be dropped counts too where it is resident. Results go to benchmarks/results/memory-*.json.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any

import pyarrow as pa

from benchmarks.memory_world import Size, write

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Write the world, measure its steps in a process of their own, print a table."""
    arguments = _arguments()
    if arguments.line:
        small, large = (_on_file(name) for name in arguments.line)
        sys.stdout.write(as_line(small, large, int(arguments.events)) + "\n")
        return
    size = Size(int(arguments.events))
    folder = Path(arguments.folder or tempfile.gettempdir()) / f"funnel-memory-{size.events}"
    if arguments.child:
        sys.stdout.write(json.dumps(measure(folder, arguments.scratch)))
        return
    write(size, folder)
    command = [sys.executable, "-m", "benchmarks.memory", "--child", "--events", str(size.events)]
    command += ["--folder", str(folder.parent)]
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        done = subprocess.run([*command, "--scratch", scratch], stdout=subprocess.PIPE, check=True)
    result = {"events": size.events, "items": size.items, "users": size.users, **json.loads(done.stdout)}
    sys.stdout.write(as_table(result) + "\n")
    if arguments.save:
        (RESULTS / f"memory-{arguments.save}.json").write_text(json.dumps(result, indent=1) + "\n")
    peak = max(step["peak"] for step in result["steps"])
    if arguments.most_gib is not None and peak > arguments.most_gib * 2**30:
        sys.exit(f"the peak is {peak / 2**30:.2f} GiB, above {arguments.most_gib}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--events", type=float, default=1e6, help="of the made world")
    parser.add_argument("--folder", help="where worlds are kept; default that of temporary files")
    parser.add_argument("--save", help="a name: write the result to benchmarks/results/memory-NAME.json")
    parser.add_argument("--most-gib", type=float, help="end with an error where the peak is above")
    parser.add_argument("--line", nargs=2, metavar="NAME", help="no run: a line through two saved results")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--scratch", help=argparse.SUPPRESS)
    return parser.parse_args()


class Meter:
    """Runs steps, and notes the peak of each and what it leaves."""

    def __init__(self) -> None:
        self.steps: list[dict[str, Any]] = []

    def __call__(self, name: str, run: Callable[[], Any]) -> Any:
        """Run a step; its value."""
        _give_back()
        Path("/proc/self/clear_refs").write_text("5")  # the peak is set back to what is resident
        before, began, used = resident("VmRSS"), time.perf_counter(), _seconds()
        value = run()
        peak = resident("VmHWM")
        _give_back()
        self.steps.append(
            {
                "name": name,
                "before": before,
                "peak": peak,
                "after": resident("VmRSS"),
                "seconds": round(time.perf_counter() - began, 2),
                "processor_seconds": round(_seconds() - used, 2),
            }
        )
        return value


def _give_back() -> None:
    """What the allocators keep of freed memory goes back, so that it is no step's."""
    gc.collect()
    pa.default_memory_pool().release_unused()
    ctypes.CDLL("libc.so.6").malloc_trim(0)


def resident(what: str) -> int:
    """Bytes of this process: VmRSS now, VmHWM at most since the peak was set back."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(what))


def _seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def measure(folder: Path, scratch: str) -> dict[str, Any]:
    """The steps over a world."""
    warm(scratch)
    from funnel.data import Dataset, SplitConfig, split
    from funnel.profile.figures import profile

    step = Meter()
    data = step("read", lambda: Dataset.from_folder(folder))
    step("checksum", data.checksum)
    log = step("log", partial(getattr, data, "log"))
    config = SplitConfig(max_requests=100_000)
    parts = step("split", partial(split, data, config, 0))
    step("profile", partial(profile, data, config))
    step("counts", partial(_counts, log))
    known = parts.test_statistics
    del parts, data
    step("co-visitation", partial(_pairs, known, Path(scratch)))
    return {"steps": step.steps}


def warm(scratch: str) -> None:
    """Compile, and load what the steps need, so that neither counts."""
    from funnel.data import Dataset, SplitConfig, split
    from funnel.profile.figures import profile

    folder = Path(scratch) / "warm"
    write(Size(2_000), folder)
    data = Dataset.from_folder(folder)
    split(data, SplitConfig(max_requests=10), 0)
    profile(data, SplitConfig(max_requests=10))
    _counts(data.log)
    _pairs(data.log, folder)


def _counts(log: Any) -> None:
    from funnel.features.counts import EventCounts

    EventCounts.build(log.items, log.times, log.n_items)


def _pairs(log: Any, folder: Path) -> None:
    """Both matrices of pairs, in files; in memory where a version that is compared with has none."""
    from funnel.features.covisitation import fit_covisitation, fit_transitions

    for fit in (fit_covisitation, fit_transitions):
        in_files = {"folder": folder} if "folder" in signature(fit).parameters else {}
        fit(log, **in_files)


def as_table(result: dict[str, Any]) -> str:
    """A row a step: what it takes at its peak above the start, what is there then, time."""
    n = result["events"]
    titles = ("step", "peak MiB", "above", "left", "B/event at peak", "s", "cpu s")
    lines = ["{:>14} {:>9} {:>8} {:>8}  {:>15} {:>7} {:>7}".format(*titles)]
    for step in result["steps"]:
        above, left = step["peak"] - step["before"], step["after"] - step["before"]
        lines.append(
            f"{step['name']:>14} {step['peak'] / 2**20:9.0f} {above / 2**20:8.0f} {left / 2**20:8.0f}  "
            f"{above / n:15.1f} {step['seconds']:7.1f} {step['processor_seconds']:7.1f}"
        )
    return "\n".join(lines)


def _on_file(name: str) -> dict[str, Any]:
    return dict(json.loads((RESULTS / f"memory-{name}.json").read_text()))


def as_line(small: dict[str, Any], large: dict[str, Any], events: int) -> str:
    """A row a step: bytes that a further event, with an impression and a tenth of an item, adds to the peak
    of the whole process, and where the line through both results is at so many events."""
    lines = ["{:>14} {:>12} {:>16} {:>12}".format("step", "bytes/event", "peak GiB at", "cpu s at")]
    for less, more in zip(small["steps"], large["steps"], strict=True):
        by = large["events"] - small["events"]
        slope, pace = ((more[of] - less[of]) / by for of in ("peak", "processor_seconds"))
        further = events - large["events"]
        peak, seconds = more["peak"] + slope * further, more["processor_seconds"] + pace * further
        lines.append(f"{more['name']:>14} {slope:12.1f} {peak / 2**30:16.2f} {seconds:12.0f}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
