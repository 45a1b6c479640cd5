"""Every threshold of the config fails its gate when it is tight, and lets the same pass when it is loose."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from funnel.artifacts import Store
from funnel.bundle.contents import Contents, load_contents
from funnel.bundle.holdout import HOLDOUT, Holdout
from funnel.catalogue.schemas import load_schema
from funnel.data import Schema
from funnel.features import Spec
from funnel.gates import Arrived, Finding, GatesConfig, arrived, catalogue, quality, serving, vectors
from funnel.gates.baselines import beside_sources
from funnel.gates.figures import Figures
from funnel.gates.monitor import watched
from funnel.gates.probabilities import calibration
from funnel.ranker.calibration import Isotonic
from tests.monitoring.test_gate import OF_DATA, verdict
from tests.tiny import TinyBuild

from .test_power import World


@dataclass(frozen=True)
class Made:
    """A bundle that was built, to be judged in parts."""

    contents: Contents
    holdout: Holdout
    folder: Path


@pytest.fixture(scope="module")
def made(built: TinyBuild) -> Made:
    contents = load_contents(built.built.folder)
    holdout = Holdout.load(built.built.folder / HOLDOUT, contents)
    some = holdout.examples.take(np.arange(60))
    return Made(contents, Holdout(some, holdout.answers[:60]), built.built.folder)


def table(items: int = 100, missing: int = 0, columns: tuple[str, ...] = ("genre",)) -> Arrived:
    """A catalogue of one category, some of whose values are missing."""
    schema = Schema.model_validate({"items": [{"name": name, "kind": "category"} for name in columns]})
    codes = np.r_[np.zeros(missing), np.ones(items - missing)].astype(np.int32)
    encoded = ({"genre": codes}, {"genre": Spec("category", 2, 1)})
    return Arrived(schema, {"items": items}, encoded, ({}, {}))


def beside_whole(**about: Any) -> Callable[[Made, GatesConfig], list[Finding]]:
    return lambda made, config: arrived(table(**about), table(), config)


def vectors_of(change: Callable[[np.ndarray], None]) -> Callable[[Made, GatesConfig], list[Finding]]:
    def look(made: Made, config: GatesConfig) -> list[Finding]:
        values = np.random.default_rng(0).normal(size=(400, 8)).astype(np.float32)
        change(values)
        contents: Any = SimpleNamespace(vectors=values)
        return vectors.health(contents, config, seed=0)

    return look


def broken(values: np.ndarray) -> None:
    values[:20, 0] = np.nan


def long(values: np.ndarray) -> None:
    values[:20] *= 100


def alike(values: np.ndarray) -> None:
    values += 1.5


def flat(values: np.ndarray) -> None:
    values[:, 6:] = 0


class Half:
    """An index that does not find every other item."""

    def __init__(self, index: Any) -> None:
        self.size, self.spec, self._index = index.size, index.spec, index

    def search(self, queries: Any, k: int, **more: Any) -> Any:
        rows, scores = self._index.search(queries, k, **more)
        return np.where(rows % 2 > 0, rows, -1), scores


def half_found(made: Made, config: GatesConfig) -> list[Finding]:
    contents = replace(made.contents, index=Half(made.contents.index))
    return [vectors.search(contents, made.holdout.examples.requests, config, 0)]


def fell(
    fall: float, *, anchor: bool = False, requests: int = 10_000
) -> Callable[[Made, GatesConfig], list[Finding]]:
    """All stages of a bundle that finds so much less."""

    def look(made: Made, config: GatesConfig) -> list[Finding]:
        world = World(2, min(requests, config.holdout))
        new, old = (stages(one) for one in (world.after(world.first, fall), world.first))
        return quality.stages(new, old, world.users, config, 0, "these", anchor=anchor)

    return look


def stages(values: np.ndarray) -> Figures:
    return Figures({"rank": {"ndcg@10": values}}, np.ones(2), np.ones(2), 10, 10, np.empty((0, 10)))


def parts_fell(made: Made, config: GatesConfig) -> list[Finding]:
    world = World(0, 2000)
    parts = {"half": np.arange(2000) < 1000}
    return quality.slices(world.first * 0.8, world.first, parts, world.users, config, 0)


def parts_are_better(made: Made, config: GatesConfig) -> list[Finding]:
    """The list that is shown finds nothing, and every source something."""
    nothing = stages(np.zeros(len(made.holdout.examples)))
    return beside_sources(nothing, made.contents, made.holdout.examples, config, 0)


def late(made: Made, config: GatesConfig) -> list[Finding]:
    return [serving.latency(made.contents, made.holdout.examples.requests, config, 0)]


def other_answers(made: Made, config: GatesConfig) -> list[Finding]:
    changed = made.holdout.answers.copy()
    changed[:30] = changed[:30, ::-1]
    now = serving.answers(made.contents, made.holdout.examples.requests)
    return serving.parity(made.contents, now, replace(made.holdout, answers=changed), config, 0)


def shown(counts: np.ndarray, shortlisted: np.ndarray | None = None) -> Figures:
    return Figures({}, counts, counts if shortlisted is None else shortlisted, 10, 100, np.empty((0, 10)))


def concentrated(made: Made, config: GatesConfig) -> list[Finding]:
    return [catalogue.concentration(shown(np.r_[np.full(10, 90), np.ones(190, dtype=np.int64)]), config)]


def popular_shown(made: Made, config: GatesConfig) -> list[Finding]:
    n = len(made.contents.catalogue.ids)
    counts = np.bincount(made.contents.users.history.values, minlength=n)
    hits = (counts >= np.sort(counts)[-10]).astype(np.int64)
    even = shown(np.ones(n, dtype=np.int64))
    return [catalogue.popularity(shown(hits), even, made.contents, made.contents, config)]


def little_reached(made: Made, config: GatesConfig) -> list[Finding]:
    few, all_items = (np.arange(200) < 20).astype(np.int64), np.ones(200, dtype=np.int64)
    return catalogue.reach(shown(few), shown(all_items), 1000, config)


def overconfident(made: Made, config: GatesConfig) -> list[Finding]:
    """Three in ten are promised of every candidate."""
    curve = Isotonic(scores=(0.0,), probabilities=(0.3,))
    heads = {"event": made.contents.heads["event"].model_copy(update={"calibration": curve})}
    schema = load_schema(made.folder)
    return calibration(replace(made.contents, heads=heads), schema, made.holdout.examples, config, 0)


def feedback_lost(made: Made, config: GatesConfig) -> list[Finding]:
    """The monitor of the store that is served says that answers' feedback does not come."""
    with tempfile.TemporaryDirectory() as folder:
        verdict(Path(folder), OF_DATA)
        return [watched(Store(folder), config)]


#: Of each threshold: the gate, what it looks at, a value that fails it, one that lets the same pass, and
#: what else must be said for it to decide.
SCENES: dict[str, tuple[str, Callable[[Made, GatesConfig], list[Finding]], Any, Any, dict[str, Any]]] = {
    "monitor_alarms": ("monitor", feedback_lost, 0, 1, {}),
    "holdout": ("stages", fell(0.02), 1000, 10_000, {"visible_fall": 0.0}),
    "columns_gone": ("schema", beside_whole(columns=()), 0, 1, {}),
    "rows": ("rows", beside_whole(items=60), 0.3, 0.5, {}),
    "gaps": ("gaps", beside_whole(missing=20), 0.1, 0.3, {}),
    "not_finite": ("finite", vectors_of(broken), 0.01, 0.1, {}),
    "norms": ("norms", vectors_of(long), 0.01, 0.1, {}),
    "similarity": ("collapse", vectors_of(alike), 0.5, 0.9, {}),
    "dead_dimensions": ("dimensions", vectors_of(flat), 0.1, 0.3, {}),
    "search_recall": ("search", half_found, 0.95, 0.2, {}),
    "stage_fall": ("stages", fell(0.1), 0.05, 0.3, {}),
    "anchor_fall": ("anchor", fell(0.1, anchor=True), 0.05, 0.3, {}),
    "visible_fall": ("stages", fell(0.04, requests=500), 0.05, 0.5, {}),
    "power": ("stages", fell(0.01), 0.9999, 0.6, {"visible_fall": 0.0}),
    "alarms": ("stages", fell(0.06, requests=2000), 0.4, 0.0001, {"visible_fall": 1.0}),
    "baseline_fall": ("baselines", parts_are_better, 0.0, 1.0, {}),
    "slice_fall": ("slices", parts_fell, 0.1, 0.3, {}),
    "slice_requests": ("slices", parts_fell, 50, 2000, {}),
    "latency_ms": ("latency", late, 1e-6, 1e6, {}),
    "parity": ("parity", other_answers, 0.99, 0.4, {}),
    "calibration_error": ("calibration", overconfident, 0.1, 1.0, {"calibration_ratio": 1e6}),
    "calibration_ratio": ("calibration", overconfident, 1.5, 1e6, {"calibration_error": 1.0}),
    "concentration": ("concentration", concentrated, 0.5, 0.9, {}),
    "popularity_rise": ("popularity", popular_shown, 0.1, 0.9, {}),
    "reachable": ("reach", little_reached, 0.2, 0.05, {"reachable_fall": 1.0}),
    "reachable_fall": ("reach", little_reached, 0.3, 0.95, {}),
}  # fmt: skip


def test_every_threshold_has_a_scene() -> None:
    assert set(SCENES) == set(GatesConfig.model_fields) - {"also", "options"}  # which are of plugins


@pytest.mark.parametrize("name", SCENES)
def test_a_threshold_fails_its_gate_and_loosened_lets_the_same_pass(made: Made, name: str) -> None:
    gate, look, tight, loose, more = SCENES[name]
    failed = {one.gate for one in look(made, GatesConfig(**{name: tight}, **more)) if not one.passed}
    assert failed == {gate}
    findings = look(made, GatesConfig(**{name: loose}, **more))
    assert [one.sentence for one in findings if not one.passed] == []
