"""How two bundles differ: their manifests, and their answers to the same requests."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from funnel.artifacts import Manifest, Store
from funnel.bundle.contents import Contents
from funnel.bundle.holdout import translate
from funnel.engine import Funnel
from funnel.experiments.comparing import Answers, compare
from funnel.gates.comparable import measured_on, unlike
from funnel.gates.judged import Judged
from funnel.settings import Settings
from funnel.types import Candidates, Float32, Int32, Requests
from funnel.values.notebook import as_html

_BATCH, _NAMED = 256, 5
#: Keys of configs in earlier manifests.
_RENAMED = {"split.reading": "split.protocol"}


class Change(Settings):
    """What is in one and not in the other: how many, and the first few."""

    shared: int
    gone: int
    new: int
    examples_gone: tuple[str, ...]
    examples_new: tuple[str, ...]


class BundleDifference(Settings):
    """Bundle b beside bundle a. metrics: on each one's own test window, (a, b). unlike: why these are not of
    the same requests, in words; empty where they are. config: keys that differ.
    """

    a: str
    b: str
    metrics: dict[str, tuple[float | None, float | None]]
    unlike: tuple[str, ...]
    config: dict[str, tuple[Any, Any]]
    features: Change
    items: Change
    users: Change
    answers: Answers

    def to_frame(self) -> pd.DataFrame:
        """What differs, a row each by its part and name, with columns `a`, `b` and `both`.

        Metrics and keys of the config have a value for a and for b; features, items and users how many are in
        a alone, in b alone and in both; what is measured of the answers is of both. None where there is no
        value.
        """
        rows: dict[tuple[str, str], dict[str, Any]] = {}
        for part in ("metrics", "config"):
            rows |= {(part, key): {"a": a, "b": b} for key, (a, b) in getattr(self, part).items()}
        for part in ("features", "items", "users"):
            change: Change = getattr(self, part)
            rows[part, "number"] = {"a": change.gone, "b": change.new, "both": change.shared}
        rows |= {("answers", name): {"both": value} for name, value in self.answers}
        index = pd.MultiIndex.from_tuples(list(rows), names=["part", "name"])
        return pd.DataFrame(list(rows.values()), index=index, columns=["a", "b", "both"], dtype=object)

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return as_html(self.to_frame(), f"a: {self.a}, b: {self.b}")


def diff(store: Store | str | Path, a: str, b: str) -> BundleDifference:
    """Compare two bundles of a store, or of its folder.

    Raises: BundleError when one is damaged or has no holdout.
    """
    store = Store.of(store)
    old, new = Judged.load(store, a), Judged.load(store, b)
    names = sorted({*old.manifest.metrics, *new.manifest.metrics})
    return BundleDifference(
        a=old.manifest.version,
        b=new.manifest.version,
        metrics={name: (old.manifest.metrics.get(name), new.manifest.metrics.get(name)) for name in names},
        unlike=unlike(*(measured_on(store.path(x.manifest.version), x.manifest) for x in (old, new))),
        config=_changed(_settings(old.manifest), _settings(new.manifest)),
        features=_change(_features(old.contents), _features(new.contents)),
        items=_change(old.contents.catalogue.ids.values.tolist(), new.contents.catalogue.ids.values.tolist()),
        users=_change(old.contents.users.ids.values.tolist(), new.contents.users.ids.values.tolist()),
        answers=_answers(old, new),
    )


def _features(contents: Contents) -> list[str]:
    """What the ranker looks at; nothing where the retrieval order is kept."""
    return [] if contents.ranker is None else list(contents.candidate_features().names)


def _change(before: Iterable[Any], after: Iterable[Any]) -> Change:
    old, new = {str(value) for value in before}, {str(value) for value in after}
    gone, added = sorted(old - new), sorted(new - old)
    return Change(
        shared=len(old & new),
        gone=len(gone),
        new=len(added),
        examples_gone=tuple(gone[:_NAMED]),
        examples_new=tuple(added[:_NAMED]),
    )


def _settings(manifest: Manifest) -> dict[str, Any]:
    """The config by keys such as "split.protocol"; an earlier key by its present name."""
    return {_RENAMED.get(key, key): value for key, value in _flat(manifest.config).items()}


def _flat(config: dict[str, Any], where: str = "") -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in config.items():
        out |= _flat(value, f"{where}{key}.") if isinstance(value, dict) else {f"{where}{key}": value}
    return out


def _changed(before: dict[str, Any], after: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    keys = sorted({*before, *after})
    return {key: (before.get(key), after.get(key)) for key in keys if before.get(key) != after.get(key)}


def _answers(old: Judged, new: Judged) -> Answers:
    examples, k = new.holdout.examples, new.contents.rerank.k
    after, after_scores = _first(new.contents.funnel(k), examples.requests, k)
    requests = translate(examples, new.contents, old.contents).requests
    before, before_scores = _first(old.contents.funnel(k), requests, k)
    rows = new.contents.catalogue.ids.rows(old.contents.catalogue.ids.values)
    behind = np.int32(len(new.contents.catalogue.ids))  # items that b does not have match nothing of b's
    before = np.where(before < 0, -1, np.where(rows < 0, behind, rows)[before]).astype(np.int32)
    return compare(before, before_scores, after, after_scores)


def _first(funnel: Funnel, requests: Requests, k: int) -> tuple[Int32, Float32]:
    """Items and scores of the first k positions: [B, k] each."""
    parts = [
        _padded(funnel(requests.take(np.arange(start, min(start + _BATCH, len(requests))))), k)
        for start in range(0, len(requests), _BATCH)
    ]
    return np.concatenate([items for items, _ in parts]), np.concatenate([scores for _, scores in parts])


def _padded(candidates: Candidates, k: int) -> tuple[NDArray[Any], NDArray[Any]]:
    missing = ((0, 0), (0, max(0, k - candidates.items.shape[1])))
    items = np.pad(candidates.items[:, :k], missing, constant_values=-1)
    return items, np.pad(candidates.scores[:, :k], missing, constant_values=-np.inf)
