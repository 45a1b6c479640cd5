"""Sources and stages of plugins, held to what they must return: compiled code behind them does not check
rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from funnel import plugins
from funnel.stages.parts import Parts
from funnel.stages.sources import Retrieved, Source
from funnel.stages.stage import Skippable, Stage
from funnel.stages.towers import TowerSource
from funnel.types import Candidates, Float32, Int32, Requests


def source(name: str, parts: Parts, options: plugins.Given) -> Source | None:
    """A source by name; None where these data do not have it. It is called what it is registered as. When
    called it raises FunnelError for what no source may give."""
    built = plugins.make("source", name, parts, options=options)
    if built is None or plugins.find("source", name).own:
        return built
    if isinstance(built, TowerSource):
        built.name = name
        return built
    return GuardedSource(built, parts, name)


def stage(name: str, parts: Parts, options: plugins.Given) -> Stage | None:
    """The same of a stage."""
    built = plugins.make("stage", name, parts, options=options)
    if built is None or plugins.find("stage", name).own:
        return built
    return (GuardedSkippable if isinstance(built, Skippable) else GuardedStage)(built, name)


class GuardedSource:
    """A source whose rows, scores and shapes are looked at."""

    def __init__(self, inner: Source, parts: Parts, name: str) -> None:
        self.name = name
        self._inner, self._parts = inner, parts

    def find(self, requests: Requests, k: int) -> Retrieved:
        """See `Source.find`."""
        with plugins.calling("source", self.name):
            given = self._inner.find(requests, k)
        rows, scores = given if isinstance(given, tuple) and len(given) == 2 else (given, None)
        self._check(rows, scores, (len(requests), k))
        return rows, scores

    def score(self, requests: Requests, items: Int32) -> Float32:
        """See `Source.score`."""
        with plugins.calling("source", self.name):
            scores = self._inner.score(requests, items)
        if not _is(scores, np.float32, items.shape) or np.isnan(scores).any():
            raise self._refused(f"`score` must give float32 {list(items.shape)} without NaN")
        return scores

    def _check(self, rows: Any, scores: Any, shape: tuple[int, ...]) -> None:
        if not (_is(rows, np.int32, shape) and _is(scores, np.float32, shape)):
            raise self._refused(f"`find` must give rows int32 and scores float32, both {list(shape)}")
        if rows.size and not -1 <= rows.min() <= rows.max() < self._parts.n_items:
            raise self._refused(f"rows must lie within -1 and {self._parts.n_items - 1}")
        if np.isnan(scores).any() or (scores[rows < 0] > -np.inf).any():
            raise self._refused("scores must not be NaN, and -inf where a row is -1")
        if (scores[:, 1:] > scores[:, :-1]).any() or _twice(rows):
            raise self._refused("rows must come best first, each once")

    def _refused(self, why: str) -> Exception:
        return plugins.refused(f"source {self.name!r}", why)


class GuardedStage:
    """A stage that may reorder and drop what it was given, and nothing else."""

    def __init__(self, inner: Stage, name: str) -> None:
        self.name = name
        self._inner = inner

    def __call__(self, requests: Requests, candidates: Candidates) -> Candidates:
        """See `Stage`."""
        with plugins.calling("stage", self.name):
            left = self._inner(requests, candidates)
        return self._checked(candidates, left)

    def _checked(self, given: Candidates, left: Candidates) -> Candidates:
        if not isinstance(left, Candidates) or len(left) != len(given):
            raise self._refused(f"it must give Candidates of the {len(given)} requests")
        if _twice(left.items) or not np.isin(_keys(left), _keys(given)).all():
            raise self._refused("an item that it was not given, or one twice, is in a list")
        if np.isnan(left.scores[left.filled]).any() or (left.filled[:, 1:] & ~left.filled[:, :-1]).any():
            raise self._refused("scores must not be NaN, and empty positions come last")
        return left

    def _refused(self, why: str) -> Exception:
        return plugins.refused(f"stage {self.name!r}", why)


class GuardedSkippable(GuardedStage):
    """The same of a stage that a request can do without."""

    def skip(self, candidates: Candidates) -> Candidates:
        """See `Skippable`."""
        assert isinstance(self._inner, Skippable)
        with plugins.calling("stage", self.name):
            left = self._inner.skip(candidates)
        return self._checked(candidates, left)


def _is(values: object, kind: type, shape: tuple[int, ...]) -> bool:
    return isinstance(values, np.ndarray) and values.dtype == kind and values.shape == shape


def _twice(rows: Int32) -> bool:
    """Whether a list has an item twice."""
    ordered = np.sort(rows, axis=1)
    return bool(((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any())


def _keys(candidates: Candidates) -> NDArray[np.int64]:
    """A number for each request and item."""
    request = np.arange(len(candidates), dtype=np.int64)[:, None]
    return ((request << 32) + candidates.items)[candidates.filled]
