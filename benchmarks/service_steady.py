"""What happens beside a steady load: items change, bundles are published, memory is watched."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from itertools import count
from typing import Any

from benchmarks.service_server import Running, memory
from funnel.artifacts import Store

#: Seconds between changes of items, and between looks at memory.
CHANGE, LOOK = 0.2, 1.0


def second(store: Store, version: str) -> str:
    """The same bundle under another name."""
    source = store.path(version)
    about = store.verify(version)
    with store.writing("second") as draft:
        shutil.copytree(source, draft.folder, dirs_exist_ok=True)
        (draft.folder / "manifest.json").unlink()
        draft.describe(
            towers_fingerprint=about.towers_fingerprint,
            schema_fingerprint=about.schema_fingerprint,
            config=about.config,
        )
    return draft.version


@dataclass
class Seen:
    """What was done and what it took: statuses of changes, versions that were ready, MiB over time."""

    changes: list[int] = field(default_factory=list)
    published: int = 0
    ready: set[str] = field(default_factory=set)
    mib: list[float] = field(default_factory=list)

    def about(self) -> dict[str, Any]:
        """For the file. The first half is when caches fill; behind it memory is to be flat."""
        half = self.mib[len(self.mib) // 2 :] or [0.0]
        return {
            "changes": len(self.changes),
            "changes_refused": sum(status != 200 for status in self.changes),
            "published": self.published,
            "versions_that_answered": len(self.ready),
            "mib": {"least": min(half), "most": max(half), "last": half[-1]},
        }


@contextmanager
def disturbed(
    running: Running, store: Store, versions: tuple[str, str], items: list[Any], publish: float, core: int
) -> Iterator[Seen]:
    """Do all of it in threads, until the block ends. publish: seconds between publications. core: that does
    not answer."""
    seen, stop = Seen(), threading.Event()
    work = [
        threading.Thread(target=_change, args=(running, items, seen, stop)),
        threading.Thread(target=_publish, args=(store, versions, publish, core, seen, stop)),
        threading.Thread(target=_look, args=(running, seen, stop)),
    ]
    for thread in work:
        thread.start()
    try:
        yield seen
    finally:
        stop.set()
        for thread in work:
            thread.join()


def _change(running: Running, items: list[Any], seen: Seen, stop: threading.Event) -> None:
    """Take out one item after another, through HTTP: a change that every bundle takes."""
    for number in count():
        if stop.wait(CHANGE):
            return
        connection = HTTPConnection("127.0.0.1", running.port, timeout=60)
        body = json.dumps({"item_ids": [items[number % len(items)]]})
        connection.request("DELETE", "/v1/items", body, {"content-type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        seen.changes.append(answer.status)
        connection.close()


def _publish(
    store: Store, versions: tuple[str, str], every: float, core: int, seen: Seen, stop: threading.Event
) -> None:
    """From a process of its own, as a nightly run would, which reads the whole bundle: not on the core that
    answers, as that would be on a machine with more of them, and giving way to the load."""
    for number in count(1):
        if stop.wait(every):
            return
        version = versions[number % 2]
        code = f"import os; os.nice(10); os.sched_setaffinity(0, {{{core}}}); "
        code += "from funnel.artifacts import Store; "
        code += f"Store({str(store.folder)!r}).publish({version!r})"
        subprocess.run([sys.executable, "-c", code], check=True)
        seen.published += 1


def _look(running: Running, seen: Seen, stop: threading.Event) -> None:
    while not stop.wait(LOOK):
        seen.mib.append(memory(running))
        connection = HTTPConnection("127.0.0.1", running.port, timeout=60)
        connection.request("GET", "/health/ready")
        answer = json.loads(connection.getresponse().read())
        seen.ready.add(answer.get("version", "none"))
        connection.close()
