"""Which arms a user is in, and what these answer with, in one process.

Arms of one bundle share all of it but the stages that they set anew; an arm of another bundle is loaded
beside it, over the same log of changes and events. What is equal in both is one file since the experiment
began (`funnel.experiments.linking`), and one set of pages in memory.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from funnel.artifacts.store import Store
from funnel.errors import BundleError, ConfigError, FunnelError
from funnel.experiments.assignment import Assignment
from funnel.experiments.config import Arm, ExperimentConfig
from funnel.experiments.interleaving import INTERLEAVED
from funnel.experiments.running import RUNNING, StartedExperiment, running
from funnel.processes import PerProcess
from funnel.serving.background import later
from funnel.serving.loaded import Loaded, warm
from funnel.serving.state.follower import Follower
from funnel.serving.varied import undrawn, varied
from funnel.values.ids import written

log = logging.getLogger(__name__)

#: Seconds between two looks at what runs, and between two tries at an arm that could not be loaded.
LOOK, AGAIN = 1.0, 60.0


@dataclass(frozen=True, slots=True)
class Chosen:
    """What answers one user: a bundle with its stages, how far the log is in it, and the arms, by
    experiment. weights: by experiment whose shares move, the period and the arm's share. interleaved: the
    experiment whose two arms' lists are one list."""

    loaded: Loaded
    state: str
    arms: Mapping[str, str] = field(default_factory=dict)
    weights: Mapping[str, tuple[int, float]] = field(default_factory=dict)
    interleaved: str | None = None

    def alone(self) -> Chosen:
        """The same where a second list cannot be waited for: the control's, in no arm of that experiment."""
        if self.interleaved is None:
            return self
        arms = {name: arm for name, arm in self.arms.items() if name != self.interleaved}
        return replace(self, arms=arms, interleaved=None)


@dataclass(frozen=True)
class RunningExperiment:
    """An experiment as this process runs it. shares: of the arms that users get. shadows: the arms that
    nobody sees. weights: by arm, the number of the period and the arm's share, where shares move."""

    name: str
    config: ExperimentConfig
    assignment: Assignment
    shares: Mapping[str, float]
    shadows: Mapping[str, Arm]
    weights: Mapping[str, tuple[int, float]]

    @classmethod
    def of(cls, name: str, started: StartedExperiment) -> RunningExperiment:
        config, moved, shares = started.config, len(started.moved), started.shares[-1]
        excluded = {text for user in config.exclude if (text := written(user)) is not None}
        moves = config.weights == "thompson"
        return cls(
            name,
            config,
            Assignment(started.salt, shares, config.ramp, excluded, entering=config.salt),
            shares,
            {arm: about for arm, about in config.arms.items() if about.share == 0},
            {arm: (moved, share) for arm, share in shares.items()} if moves else {},
        )

    def arm(self, user: str) -> str | None:
        """The user's arm, who is named in writing; None for one who is not in the experiment."""
        arm = self.assignment.arm(user)
        return arm if arm is None or self.config.kind == "split" else INTERLEAVED

    def about(self, arm: str) -> Arm:
        """What an arm is; of a list of both, what the control is."""
        return self.config.arms[self.config.control if arm == INTERLEAVED else arm]


@dataclass(frozen=True)
class _Answering:
    """What answers users of the same arms. key: names it among all that are made with other stages. version,
    sections: in place of those of what is published."""

    arms: dict[str, str]
    weights: dict[str, tuple[int, float]]
    interleaved: str | None
    key: tuple[tuple[str, str], ...]
    version: str | None
    sections: Mapping[str, Mapping[str, Any]]


class _Now(NamedTuple):
    """What runs, and what answers by the users' arms: one value, so that a request sees both as they were."""

    plans: tuple[RunningExperiment, ...]
    answering: dict[tuple[str | None, ...], _Answering]


class Arms:
    """The experiments that run in a store, as a process follows them.

    An experiment is run as a whole or not at all: one of whose arms cannot be loaded is left out, its users
    get what is published and are logged without an arm, and `error` says why. A damaged file runs nothing.
    """

    def __init__(self, store: Store, follower: Follower) -> None:
        self._store, self._follower = store, follower
        self.error: str | None = None
        self._now = _Now((), {})
        self._bundles: dict[str, Follower] = {}
        self._varied: dict[tuple[tuple[str, str], ...], tuple[Loaded, Loaded]] = {}
        self._refreshing = PerProcess(threading.Lock)
        self._looked, self._again = time.monotonic(), 0.0
        self.refresh()

    @property
    def plans(self) -> tuple[RunningExperiment, ...]:
        """What runs in this process."""
        return self._now.plans

    def choose(self, user_id: Any) -> Chosen:
        """What answers a user. Whoever has no id is in no experiment."""
        self._look()
        plans, answering = self._now
        user = written(user_id) if plans else None
        if user is None:
            return Chosen(self._follower.overlay.loaded, self._follower.position)
        names = tuple([plan.arm(user) for plan in plans])
        by = answering.get(names)
        if by is None:  # once for what runs: there are as many as combinations of arms
            by = answering.setdefault(names, _answering(plans, names))
        return self._chosen(by)

    def of(self, arms: Mapping[str, str]) -> Chosen:
        """What answers in these arms, by experiment."""
        plans = self.plans
        return self._chosen(_answering(plans, [arms.get(plan.name) for plan in plans]))

    def both(self, chosen: Chosen) -> Chosen:
        """What answers with the other arm's list where lists are of two arms; `chosen` answers with the
        control's. Raises: ConfigError where the experiment has ended meanwhile."""
        plans = {plan.name: plan for plan in self.plans}
        if chosen.interleaved not in plans:
            raise ConfigError(f"the experiment {chosen.interleaved!r} has ended")
        config = plans[chosen.interleaved].config
        (other,) = (arm for arm in config.arms if arm != config.control)
        return self.of({**chosen.arms, chosen.interleaved: other})

    def _chosen(self, by: _Answering) -> Chosen:
        follower = self._ready(by.version)
        if follower is None:  # let go of just now, or what was published has changed
            self._again = time.monotonic()
            return Chosen(self._follower.overlay.loaded, self._follower.position)
        if follower is not self._follower:
            follower.follow_as(self._follower)
        loaded = follower.overlay.loaded
        if by.sections or by.interleaved:
            loaded = self._with_sections(loaded, by)
        # Copies, which a caller may change.
        return Chosen(loaded, follower.position, by.arms.copy(), by.weights.copy(), by.interleaved)

    def refresh(self) -> bool:
        """Run what the store's file says, loading the bundles that it takes; whether anything changed."""
        with self._refreshing.get():
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
            before, after = (
                [(plan.name, plan.config, plan.shares) for plan in some] for some in (self.plans, plans)
            )
            changed = before != after
            self._now, self.error, self._seen = _Now(tuple(plans), {}), error, mark
            self._again = time.monotonic() + AGAIN if error is not None else 0.0
            self._forget()
        return changed

    def health(self) -> dict[str, Any]:
        """What runs here, and why something does not."""
        return {
            "running": {plan.name: {"ramp": plan.config.ramp, "arms": plan.shares} for plan in self.plans},
            "bundles": sorted(self._bundles),
            "error": self.error,
        }

    def _look(self) -> None:
        """Once a second, see whether something else is to run; it is loaded in the background."""
        now = time.monotonic()
        if now - self._looked < LOOK:
            return
        self._looked = now
        due = self._again and now >= self._again
        if (due or _mark(self._store.folder / RUNNING) != self._seen) and not self._refreshing.get().locked():
            self._again = now + AGAIN  # unless this process ends or is forked before it is done
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

    def _with_sections(self, loaded: Loaded, by: _Answering) -> Loaded:
        """A bundle with other stages, made once for what is served."""
        source, variant = self._varied.get(by.key, (None, None))
        if variant is None or source is not loaded:
            variant = varied(loaded, by.sections)
            if by.interleaved:
                variant = undrawn(variant)
            self._varied[by.key] = loaded, variant
        return variant

    def _forget(self) -> None:
        """Let go of what no experiment takes any more."""
        used = {arm.bundle for plan in self.plans for arm in plan.config.arms.values()}
        self._bundles = {version: follower for version, follower in self._bundles.items() if version in used}
        self._varied = {}


def _answering(plans: Sequence[RunningExperiment], names: Sequence[str | None]) -> _Answering:
    """names: of the user's arms, one an experiment; None where they are not in it."""
    inside = [(plan, arm) for plan, arm in zip(plans, names, strict=True) if arm is not None]
    about = [plan.about(arm) for plan, arm in inside]
    arms = {plan.name: arm for plan, arm in inside}
    return _Answering(
        arms,
        {plan.name: plan.weights[arm] for plan, arm in inside if plan.weights},
        next((plan.name for plan, arm in inside if arm == INTERLEAVED), None),
        tuple(sorted(arms.items())),
        next((arm.bundle for arm in about if arm.bundle), None),
        {name: values for arm in about for name, values in arm.sections.items()},
    )


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
