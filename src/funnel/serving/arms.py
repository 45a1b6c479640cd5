"""Which arms a user is in, and what these answer with, in one process.

Arms of one bundle share all of it but the stages that they set anew; an arm of another bundle is loaded
beside it, over the same log of changes and events. What is equal in both is one file since the experiment
began (`funnel.experiments.linking`), and one set of pages in memory.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from funnel.artifacts.store import Store
from funnel.errors import BundleError, FunnelError
from funnel.experiments.assignment import Assignment
from funnel.experiments.config import Arm, ExperimentConfig
from funnel.experiments.running import RUNNING, StartedExperiment, running
from funnel.serving.background import later
from funnel.serving.loaded import Loaded, warm
from funnel.serving.state.follower import Follower
from funnel.serving.varied import varied
from funnel.values.ids import written

log = logging.getLogger(__name__)

#: Seconds between two looks at what runs, and between two tries at an arm that could not be loaded.
LOOK, AGAIN = 1.0, 60.0


@dataclass(frozen=True)
class Chosen:
    """What answers one user: a bundle with its stages, how far the log is in it, and the arms, by
    experiment."""

    loaded: Loaded
    state: str
    arms: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RunningExperiment:
    """An experiment as this process runs it."""

    name: str
    config: ExperimentConfig
    assignment: Assignment

    @classmethod
    def of(cls, name: str, started: StartedExperiment) -> RunningExperiment:
        config = started.config
        excluded = {text for user in config.exclude if (text := written(user)) is not None}
        shares = {arm: about.share for arm, about in config.arms.items()}
        return cls(name, config, Assignment(started.salt, shares, config.ramp, excluded))

    @property
    def shadows(self) -> dict[str, Arm]:
        """The arms that nobody sees."""
        return {name: arm for name, arm in self.config.arms.items() if arm.share == 0}


class Arms:
    """The experiments that run in a store, as a process follows them.

    An experiment is run as a whole or not at all: one of whose arms cannot be loaded is left out, its users
    get what is published and are logged without an arm, and `error` says why. A damaged file runs nothing.
    """

    def __init__(self, store: Store, follower: Follower) -> None:
        self._store, self._follower = store, follower
        self.error: str | None = None
        self.plans: tuple[RunningExperiment, ...] = ()
        self._bundles: dict[str, Follower] = {}
        self._varied: dict[tuple[tuple[str, str], ...], tuple[Loaded, Loaded]] = {}
        self._begin()
        self.refresh()

    def _begin(self) -> None:
        """Locks of this process: those of a parent may be held by a thread that is not there any more."""
        self._process, self._refreshing = os.getpid(), threading.Lock()
        self._looked, self._again = time.monotonic(), 0.0

    def choose(self, user_id: Any) -> Chosen:
        """What answers a user. Whoever has no id is in no experiment."""
        self._look()
        user = written(user_id) if self.plans else None
        if user is None:
            return Chosen(self._follower.overlay.loaded, self._follower.position)
        arms = {plan.name: arm for plan in self.plans if (arm := plan.assignment.arm(user)) is not None}
        return self.of(arms)

    def of(self, arms: Mapping[str, str]) -> Chosen:
        """What answers in these arms, by experiment."""
        about = [plan.config.arms[arms[plan.name]] for plan in self.plans if plan.name in arms]
        follower = self._ready(next((arm.bundle for arm in about if arm.bundle), None))
        if follower is None:  # let go of just now, or what was published has changed
            self._again = time.monotonic()
            return Chosen(self._follower.overlay.loaded, self._follower.position)
        loaded = follower.overlay.loaded if follower is self._follower else follower.follow().loaded
        sections = {name: values for arm in about for name, values in arm.sections.items()}
        if sections:
            loaded = self._with_sections(loaded, tuple(sorted(arms.items())), sections)
        return Chosen(loaded, follower.position, arms)

    def refresh(self) -> bool:
        """Run what the store's file says, loading the bundles that it takes; whether anything changed."""
        if self._process != os.getpid():
            self._begin()
        with self._refreshing:
            mark = _mark(self._store.folder / RUNNING)
            try:
                wanted = running(self._store.folder).experiments
                error = None
            except BundleError as damaged:
                wanted, error = {}, str(damaged)
            plans = []
            for name, started in wanted.items():
                try:
                    plans.append(self._loaded(RunningExperiment.of(name, started)))
                except Exception as failed:  # of a stage of a plugin: whatever it is, it must not be served
                    why = failed if isinstance(failed, FunnelError) else repr(failed)
                    error = f"the experiment {name!r} does not run: {why}"
            if error is not None and error != self.error:
                log.error("%s", error)
            before, after = ([(plan.name, plan.config) for plan in some] for some in (self.plans, plans))
            changed = before != after
            self.plans, self.error, self._seen = tuple(plans), error, mark
            self._again = time.monotonic() + AGAIN if error is not None else 0.0
            self._forget()
        return changed

    def health(self) -> dict[str, Any]:
        """What runs here, and why something does not."""
        return {
            "running": {
                plan.name: {"ramp": plan.config.ramp, "arms": plan.config.served} for plan in self.plans
            },
            "bundles": sorted(self._bundles),
            "error": self.error,
        }

    def _look(self) -> None:
        """Once a second, see whether something else is to run; it is loaded in the background."""
        now = time.monotonic()
        if now - self._looked < LOOK:
            return
        if self._process != os.getpid():
            self._begin()
        self._looked = now
        due = self._again and now >= self._again
        if (due or _mark(self._store.folder / RUNNING) != self._seen) and not self._refreshing.locked():
            self._again = 0.0
            later(self.refresh)

    def _loaded(self, plan: RunningExperiment) -> RunningExperiment:
        """The plan, once all its arms can answer. Raises: FunnelError."""
        for arm in plan.config.arms.values():
            follower = self._of_bundle(arm.bundle)
            if arm.sections:
                warm(varied(follower.overlay.bundle, arm.sections))
        return plan

    def _ready(self, version: str | None) -> Follower | None:
        """What follows the log over a version, where it is loaded."""
        if version is None or version == self._follower.overlay.bundle.version:
            return self._follower
        return self._bundles.get(version)

    def _of_bundle(self, version: str | None) -> Follower:
        """What follows the log over a version; None: the published one."""
        if (follower := self._ready(version)) is not None:
            return follower
        assert version is not None
        loaded = Loaded.load(self._store, version, serving=True)
        self._follower.overlay.bundle.check_successor(loaded)
        self._bundles[version] = Follower(self._follower.state, loaded)
        return self._bundles[version]

    def _with_sections(
        self, loaded: Loaded, key: tuple[tuple[str, str], ...], sections: Mapping[str, Mapping[str, Any]]
    ) -> Loaded:
        """A bundle with other stages, made once for what is served."""
        source, variant = self._varied.get(key, (None, None))
        if variant is None or source is not loaded:
            variant = varied(loaded, sections)
            self._varied[key] = loaded, variant
        return variant

    def _forget(self) -> None:
        """Let go of what no experiment takes any more."""
        used = {arm.bundle for plan in self.plans for arm in plan.config.arms.values()}
        self._bundles = {version: follower for version, follower in self._bundles.items() if version in used}
        self._varied = {}


def groups(each: Sequence[Chosen], of_nobody: Chosen) -> Iterator[tuple[Chosen, list[int]]]:
    """Those that one call can answer together, each with its positions; `of_nobody` where there is none."""
    numbers: dict[tuple[tuple[str, str], ...], list[int]] = {} if each else {(): []}
    for number, chosen in enumerate(each):
        numbers.setdefault(tuple(chosen.arms.items()), []).append(number)
    for some in numbers.values():
        yield each[some[0]] if some else of_nobody, some


def _mark(path: Path) -> tuple[int, int] | None:
    """Another one after each replacement; None where there is no such file."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_mtime_ns
