"""What `python -m benchmarks.ann` asks: funnel's index, and libraries in processes of their own."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np

PEERS = Path(__file__).parent / "peers"
#: The recalls that funnel's index is tuned to.
OURS = (0.8, 0.9, 0.95, 0.98, 0.99)


class Peer:
    """A library in a process of its own that answers on its output."""

    def __init__(self, python: Path, library: str, options: list[str]) -> None:
        command = [str(python), str(PEERS / "ann.py"), library, *options]
        self.library, self.queries = library, Path(options[1])
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self.build = self.answer()

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.library} ended with {self.process.wait()}")
        found: dict[str, Any] = json.loads(line)
        return found

    def ask(self, setting: int) -> tuple[list[float], np.ndarray]:
        """Seconds of each query, and rows [Q, k]."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{setting}\n")
        self.process.stdin.flush()
        seconds = self.answer()["seconds"]
        return seconds, np.load(self.queries.with_name(f"found-{self.library}.npy"))

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


class Ours:
    """funnel's own index, built as a bundle's is."""

    def __init__(
        self, vectors: np.ndarray, queries: np.ndarray, wanted: np.ndarray, spec: str, threads: int
    ) -> None:
        from funnel.index import FaissIndex, IndexConfig

        start = time.perf_counter()
        index = FaissIndex.untuned(vectors, IndexConfig(spec=spec, k=wanted.shape[1]), threads=threads)
        self.build = {"seconds": time.perf_counter() - start, "bytes": index.bytes + vectors.nbytes}
        half = slice(None, None, 2)  # parameters are chosen on every second query, measured on all
        shares = OURS if index.parameters else (1.0,)
        tuned = [
            index.tuned(queries[half], wanted[half], s, {}) if index.parameters else index for s in shares
        ]
        self.spec, self.queries, self.k = index.spec, queries, wanted.shape[1]
        self.settings = dict(zip(shares, tuned, strict=True))

    def ask(self, setting: float) -> tuple[list[float], np.ndarray]:
        seconds, found = [], []
        for i in range(len(self.queries)):
            start = time.perf_counter()
            found.append(self.settings[setting].search(self.queries[i : i + 1], self.k)[0])
            seconds.append(time.perf_counter() - start)
        return seconds, np.concatenate(found)

    def close(self) -> None: ...
