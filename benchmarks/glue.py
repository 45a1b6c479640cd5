"""The stack that people write: a dict of users, FAISS IVF, a pandas frame of features, trees, a loop.

It answers the same requests with the same towers, number of features and trees as the funnel that it is
compared with, from a user's id to ten item ids, and is not made slow on purpose: what was met is dropped
with a set, item columns come from one frame by `take`, trees run on one thread, diversity is NumPy over the
best fifty. The trees are LightGBM's own (`Booster.predict`). Who wants it faster has them compiled by
lleaves, and takes features from one array in place of a frame: that is the other version.
"""

from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import faiss
import lightgbm
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from funnel.bundle.contents import Contents
from funnel.index.exact import exact_search
from funnel.types import Float32, Ragged, Requests

#: Raw scores [rows] of a table of features: a frame, or an array float64 [rows, F].
Score: TypeAlias = Callable[[Any], NDArray[np.float64]]

_COMPILE = """
import sys, sysconfig, lleaves
lleaves.Model(model_file=sys.argv[1]).compile(cache=sys.argv[2], raw_score=True)
print(sysconfig.get_paths()["purelib"])
"""


def booster(model: Path) -> Score:
    """LightGBM's own evaluation."""
    trees = lightgbm.Booster(model_file=str(model))
    return lambda frame: trees.predict(frame, raw_score=True, num_threads=1)


def lleaves(model: Path, peers: Path) -> Score:
    """Trees that lleaves compiled. peers: the Python of an environment made from benchmarks/peers/trees.txt.

    It compiles, since lleaves wants an older llvmlite than Numba has; the machine code and lleaves' own
    `predict` then run in this process.
    """
    model, code = _with_an_objective(model), model.with_suffix(".lleaves")
    code.unlink(missing_ok=True)  # lleaves does not look whether it is this model's
    done = subprocess.run(
        [str(peers), "-c", _COMPILE, str(model), str(code)], check=True, capture_output=True, text=True
    )
    sys.path.append(done.stdout.split("\n")[-2])  # behind ours: nothing but lleaves is taken from there
    import lleaves
    from lleaves import llvm_binding as binding

    def initialize() -> None:
        """As lleaves does, but for what later versions of llvmlite do by themselves and refuse to be told."""
        binding.llvm.initialize_native_target()
        binding.llvm.initialize_native_asmprinter()

    binding._initialize_llvm = initialize
    trees = lleaves.Model(model_file=str(model))
    trees.compile(cache=str(code), raw_score=True)
    return lambda rows: trees.predict(rows, n_jobs=1)


def _with_an_objective(model: Path) -> Path:
    """A copy that names one, without which lleaves reads no model; raw scores do not depend on it. Trees
    that were grown on gradients of funnel's own have none."""
    text = model.read_text()
    if "\nobjective=" in text:
        return model
    named = model.with_suffix(".named.txt")
    named.write_text(text.replace("\nfeature_names=", "\nobjective=regression\nfeature_names=", 1))
    return named


class Glue:
    """Made for a bundle; `score` is asked for the trees.

    recall: of the index at k, reached by the fewest probes. folder: where the index is kept. The features of
    items are a frame with a row an item, filled from `matrix` [rows, F], feature rows of real candidates
    named `names`; those that are `constant` in a request are put beside them.
    """

    def __init__(
        self,
        contents: Contents,
        score: Score,
        names: list[str],
        matrix: Float32,
        constant: NDArray[np.bool_],
        queries: Float32,
        folder: Path,
        *,
        k: int = 500,
        recall: float = 0.95,
        seed: int = 0,
    ) -> None:
        self._vectors = np.ascontiguousarray(contents.vectors)
        self._encode, self._k, self._score = contents.encoder.encode, k, score
        self._end, self._item_ids = contents.statistics.end, contents.catalogue.ids.values
        users = contents.users
        self._user_rows = {user: row for row, user in enumerate(users.ids.values.tolist())}
        self._users = {name: np.array(values) for name, values in users.features.items()}
        offsets = np.array(users.history.offsets)
        self._history = Ragged(np.array(users.history.values), offsets)
        self._times = Ragged(np.array(users.history_times.values), offsets)
        n, filler = len(self._vectors), np.random.default_rng(seed)
        rows = filler.integers(len(matrix), size=n)
        self._items = pd.DataFrame(
            {name: matrix[rows, i] for i, name in enumerate(names) if not constant[i]}, copy=False
        )
        self._user = {name: float(matrix[0, i]) for i, name in enumerate(names) if constant[i]}
        self._names, self._constant = names, constant
        self._rows: NDArray[np.float64] | None = None
        lists = 2 ** round(np.log2(4 * np.sqrt(n)))
        self.spec = f"IVF{lists},Flat"
        self._index = self._kept(
            folder / f"glue-{self.spec}.faiss", filler.choice(n, min(n, 64 * lists), False)
        )
        wanted = exact_search(self._vectors, queries, k)[0]
        self.probes, self.recall = self._probes(queries, wanted, recall)

    def _kept(self, path: Path, sample: NDArray[np.int64]) -> Any:
        """The index, trained on some vectors, or read where it was before."""
        if path.exists():
            return faiss.read_index(str(path))
        index = faiss.index_factory(self._vectors.shape[1], self.spec, faiss.METRIC_INNER_PRODUCT)
        index.train(self._vectors[sample])
        index.add(self._vectors)
        faiss.write_index(index, str(path))
        return index

    def scored_by(self, score: Score) -> Glue:
        """The same with other trees, whose features come from an array."""
        other = copy.copy(self)
        other._score = score
        table = self._items.assign(**self._user)[self._names].to_numpy(dtype=np.float64)
        other._rows = np.ascontiguousarray(table)  # a frame's columns are behind each other
        return other

    def _table(self, kept: NDArray[np.int64]) -> Any:
        """The features of some items: their own, and the user's beside them."""
        if self._rows is None:
            return self._items.take(kept).assign(**self._user)[self._names]
        rows = self._rows.take(kept, axis=0)
        rows[:, self._constant] = list(self._user.values())
        return rows

    def _probes(self, queries: Float32, wanted: NDArray[np.int32], goal: float) -> tuple[int, float]:
        """The fewest that reach the recall."""
        probes, found = 1, 0.0
        while probes < self._index.nlist:
            self._index.nprobe = probes
            rows = self._index.search(queries, self._k)[1]
            found = float(np.mean([np.isin(w, r).mean() for w, r in zip(wanted, rows, strict=True)]))
            if found >= goal:
                break
            probes = max(probes + 1, probes * 5 // 4)
        return probes, found

    def __call__(self, user_id: Any, top: int = 10) -> list[Any]:
        """The ids of the best ten items for a user."""
        requests = self._request(self._user_rows[user_id])
        met = set(requests.history.values.tolist())
        query = self._encode(requests)
        _, rows = self._index.search(query, self._k + len(met))
        kept = np.array([row for row in rows[0] if row >= 0 and row not in met][: self._k])
        scores = self._score(self._table(kept))
        order = np.argsort(-scores, kind="stable")[:50]
        found: list[Any] = self._item_ids[self._diverse(kept[order], scores[order], top)].tolist()
        return found

    def _request(self, row: int) -> Requests:
        """What the query tower reads of a user."""
        history, times = self._history[row], self._times[row]
        offsets = np.array([0, len(history)])
        return Requests(
            users=np.array([row], dtype=np.int32),
            times=np.array([self._end]),
            history=Ragged(history, offsets),
            history_times=Ragged(times, offsets),
            user_features={name: values[row : row + 1] for name, values in self._users.items()},
        )

    def _diverse(self, rows: NDArray[np.int64], scores: NDArray[np.float64], top: int) -> NDArray[np.int64]:
        """Maximal marginal relevance, trade-off .8."""
        unit = self._vectors[rows]
        unit = unit / np.linalg.norm(unit, axis=1, keepdims=True)
        span = scores.max() - scores.min()
        relevance = (scores - scores.min()) / span if span > 0 else np.zeros_like(scores)
        closest = np.full(len(rows), -1.0)
        picked: list[int] = []
        for _ in range(min(top, len(rows))):
            value = 0.8 * relevance - 0.2 * closest
            value[picked] = -np.inf
            best = int(np.argmax(value))
            picked.append(best)
            closest = np.maximum(closest, unit @ unit[best])
        return rows[picked]
