"""The experiments that run in a store: one small file beside `CURRENT`, which every process follows.

It is replaced atomically, under a lock, and each change is a line of a history that is only appended to. What
is damaged there runs nothing, and says so.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
)

from funnel.artifacts.store import Store
from funnel.artifacts.writing import replace_line
from funnel.errors import BundleError, ConfigError
from funnel.experiments.config import NAME, ExperimentConfig, check_layers
from funnel.experiments.history import lines_of, locked
from funnel.experiments.linking import link_equal_files
from funnel.settings import Settings

RUNNING = "EXPERIMENTS.json"


class MovedShares(Settings):
    """Shares of the arms that users get, from a moment on. at: seconds since 1970."""

    at: float = Field(ge=0)
    shares: dict[str, float]


class StartedExperiment(Settings):
    """An experiment that runs. config: with its salt written out. at: seconds since 1970, of its start.
    moved: the shares since then, where they move (`weights`): the last ones count."""

    config: ExperimentConfig
    at: float = Field(ge=0)
    moved: tuple[MovedShares, ...] = ()

    @model_serializer(mode="wrap")
    def _as_an_earlier_funnel_reads_it(self, written: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without moves where there were none."""
        return {name: value for name, value in written(self).items() if name != "moved" or self.moved}

    @property
    def salt(self) -> str:
        """Of its assignment: with each move of the shares users are assigned anew, so that the share is the
        chance that a user had of an arm, whatever came before."""
        assert self.config.salt is not None
        return f"{self.config.salt}/{len(self.moved)}" if self.moved else self.config.salt

    @property
    def shares(self) -> tuple[dict[str, float], ...]:
        """Of the arms that users get, in each period so far, the control first."""
        return (self.config.served, *(dict(period.shares) for period in self.moved))

    @field_validator("moved")
    @classmethod
    def _are_shares(cls, given: tuple[MovedShares, ...]) -> tuple[MovedShares, ...]:
        for period in given:
            values = period.shares.values()
            if not values or min(values) <= 0 or abs(math.fsum(values) - 1) > 1e-9:
                raise ValueError(f"the shares {period.shares} must be above 0, and 1 together")
        return given

    @field_validator("config")
    @classmethod
    def _has_a_salt(cls, config: ExperimentConfig) -> ExperimentConfig:
        if config.salt is None:
            raise ValueError("the salt is missing")
        return config


class Running(Settings):
    """All that run, by name."""

    experiments: dict[str, StartedExperiment] = Field({})

    @field_validator("experiments")
    @classmethod
    def _layers_are_apart(cls, given: dict[str, StartedExperiment]) -> dict[str, StartedExperiment]:
        check_layers({name: started.config for name, started in given.items()})
        return given


def running(folder: Path) -> Running:
    """What runs in a store's folder; nothing where nothing was ever started.

    Raises: BundleError where the file is damaged or cannot be read: then nothing runs.
    """
    path = folder / RUNNING
    try:
        return Running.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return Running()
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise BundleError(f"{path} is damaged ({reason}): no experiment runs; start one again") from error
    except OSError as error:
        raise BundleError(f"{path} cannot be read ({error.strerror}): no experiment runs") from error


def start(store: Store | str | Path, name: str, config: ExperimentConfig) -> StartedExperiment:
    """Begin an experiment, or let more users into one that runs: its `ramp` may grow, nothing else may
    change.

    Raises: ConfigError before anything is changed: for a bundle that is gone, another experiment on its
    layer, arms or a salt that differ from what runs, a smaller ramp, or the name of one that was stopped;
    BundleError where a bundle is damaged or the store cannot be written.
    """
    if not re.fullmatch(NAME, name):
        raise ConfigError(f"{name!r} cannot name an experiment: letters, figures, '.', '_' and '-' can")
    config = config.model_copy(update={"salt": name if config.salt is None else config.salt})
    store = Store.of(store)
    bundles = _checked_bundles(store, name, config)
    with locked(store.folder) as record:
        now = _running_or_none(store.folder)
        before = now.get(name)
        if before is None:
            _check_new(store.folder, name)
        else:
            _check_same(name, before.config, config)
        moment = time.time()
        if before is None:
            started = StartedExperiment(config=config, at=moment)
        else:
            started = before.model_copy(update={"config": config})
        everything = {**now, name: started}
        try:
            check_layers({key: each.config for key, each in everything.items()})
        except ValueError as error:
            raise ConfigError(str(error)) from error
        link_equal_files(store, bundles)
        record("start" if before is None else "ramp", name, config.model_dump(mode="json"), moment)
        _write(store.folder, everything)
    return started


def stop(store: Store | str | Path, name: str, reason: str = "") -> StartedExperiment:
    """End an experiment: its users get what is published. Raises: ConfigError where it does not run."""
    store = Store.of(store)
    with locked(store.folder) as record:
        now = _running_or_none(store.folder)
        if name not in now:
            raise ConfigError(f"no experiment {name!r} runs; {_listed(now)}")
        record("stop", name, {"reason": reason}, time.time())
        _write(store.folder, {key: each for key, each in now.items() if key != name})
    return now[name]


def stop_all(store: Store, reason: str = "") -> None:
    """End all, also where the file is damaged."""
    with locked(store.folder) as record:
        record("stop", "*", {"reason": reason}, time.time())
        _write(store.folder, {})


def move_shares(store: Store, name: str, shares: Mapping[str, float], period: int) -> StartedExperiment:
    """Give the arms of a running experiment other shares, from now on and in every process.

    period: the number of the one that they follow, from 0: another update may have come first.
    Raises: ConfigError where it does not run, its shares do not move, or another update came first.
    """
    with locked(store.folder) as record:
        now = _running_or_none(store.folder)
        before = now.get(name)
        if before is None or before.config.weights == "fixed":
            why = "does not run" if before is None else 'has weights = "fixed": its shares do not move'
            raise ConfigError(f"the experiment {name!r} {why}")
        if len(before.moved) != period or set(shares) != set(before.config.served):
            raise ConfigError(f"the shares of {name!r} were moved meanwhile: look at them again")
        moved = MovedShares(at=time.time(), shares=dict(shares))
        started = before.model_copy(update={"moved": (*before.moved, moved)})
        record("shares", name, {"shares": moved.shares, "after": period}, moved.at)
        _write(store.folder, {**now, name: started})
    return started


def started_once(folder: Path, name: str) -> StartedExperiment | None:
    """An experiment that runs or ran, as it was last; None where there was none of this name."""
    last: StartedExperiment | None = None
    for line in lines_of(folder):
        if line["name"] != name or line["action"] == "stop":
            continue
        if line["action"] == "shares" and last is not None:
            moved = MovedShares(at=line["at"], shares=line["about"]["shares"])
            before = last.moved[: line["about"]["after"]]  # one who was killed may have begun the same move
            last = last.model_copy(update={"moved": (*before, moved)})
        elif line["action"] != "shares":
            config = ExperimentConfig.model_validate(line["about"])
            last = StartedExperiment(config=config, at=line["at"] if last is None else last.at,
                                     moved=() if last is None else last.moved)  # fmt: skip
    return last


def stopped_at(folder: Path, name: str) -> float:
    """When it was stopped, seconds since 1970; infinite where it was not."""
    ends = [
        line["at"]
        for line in lines_of(folder)
        if (line["action"], line["name"]) in (("stop", name), ("stop", "*"))
    ]
    started = started_once(folder, name)
    return min((at for at in ends if started is None or at >= started.at), default=math.inf)


def arm_bundles(folder: Path) -> list[str]:
    """Versions that arms of running experiments answer with; they must not be removed."""
    try:
        listed = running(folder).experiments.values()
    except BundleError:
        return []
    return sorted({arm.bundle for each in listed for arm in each.config.arms.values() if arm.bundle})


def _checked_bundles(store: Store, name: str, config: ExperimentConfig) -> list[str]:
    """The bundles that arms answer with, what is published first: each is there and whole."""
    versions = []
    for arm, about in config.arms.items():
        try:
            versions.append(store.verify(about.bundle or "current").version)
        except BundleError as error:
            raise ConfigError(f"experiments.{name}.arms.{arm}: {error}") from error
    return list(dict.fromkeys(versions))


def _check_new(folder: Path, name: str) -> None:
    if any(line["name"] == name for line in lines_of(folder)):
        raise ConfigError(
            f"an experiment {name!r} was stopped before; the log of answers has its users by that name: "
            "choose another"
        )


def _check_same(name: str, before: ExperimentConfig, now: ExperimentConfig) -> None:
    """Whoever is in an arm stays there: all but the ramp is as it was."""
    if before.salt != now.salt:
        raise ConfigError(
            f"experiments.{name}.salt is {now.salt!r} and was {before.salt!r} when it was started: users "
            "would change arms; stop it, and start another"
        )
    if changed := [key for key, value in before if key != "ramp" and value != getattr(now, key)]:
        raise ConfigError(
            f"experiments.{name}.{changed[0]} is not what it was when it was started; what was observed "
            "would be of neither: stop it, and start another"
        )
    if now.ramp < before.ramp:
        raise ConfigError(
            f"experiments.{name}.ramp is {now.ramp:g} and is {before.ramp:g} now: it may only grow; stop it, "
            "and start another"
        )


def _running_or_none(folder: Path) -> dict[str, StartedExperiment]:
    """What runs; nothing where the file is damaged, since then nothing does."""
    try:
        return running(folder).experiments
    except BundleError:
        return {}


def _write(folder: Path, experiments: Mapping[str, StartedExperiment]) -> None:
    replace_line(folder / RUNNING, Running(experiments=dict(experiments)).model_dump_json())


def _listed(now: Mapping[str, StartedExperiment]) -> str:
    return f"these do: {', '.join(sorted(now))}" if now else "none does"
