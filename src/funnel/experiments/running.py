"""The experiments that run in a store: one small file beside `CURRENT`, which every process follows.

It is replaced atomically, under a lock, and each change is a line of a history that is only appended to. What
is damaged there runs nothing, and says so.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, field_validator

from funnel.artifacts.store import Store
from funnel.artifacts.writing import changing, replace_line
from funnel.errors import BundleError, ConfigError
from funnel.experiments.config import NAME, ExperimentConfig, check_layers
from funnel.experiments.linking import link_equal_files
from funnel.settings import Settings

RUNNING, HISTORY = "EXPERIMENTS.json", "EXPERIMENTS.jsonl"


class StartedExperiment(Settings):
    """An experiment that runs. config: with its salt written out. at: seconds since 1970, of its start."""

    config: ExperimentConfig
    at: float = Field(ge=0)

    @property
    def salt(self) -> str:
        """Of its assignment."""
        assert self.config.salt is not None
        return self.config.salt

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


def start(store: Store, name: str, config: ExperimentConfig) -> StartedExperiment:
    """Begin an experiment, or let more users into one that runs: its `ramp` may grow, nothing else may
    change.

    Raises: ConfigError before anything is changed: for a bundle that is gone, another experiment on its
    layer, arms or a salt that differ from what runs, a smaller ramp, or the name of one that was stopped;
    BundleError where a bundle is damaged or the store cannot be written.
    """
    if not re.fullmatch(NAME, name):
        raise ConfigError(f"{name!r} cannot name an experiment: letters, figures, '.', '_' and '-' can")
    config = config.model_copy(update={"salt": name if config.salt is None else config.salt})
    bundles = _checked_bundles(store, name, config)
    with _locked(store.folder) as record:
        now = _running_or_none(store.folder)
        before = now.get(name)
        if before is None:
            _check_new(store.folder, name)
        else:
            _check_same(name, before.config, config)
        moment = time.time()
        started = StartedExperiment(config=config, at=moment if before is None else before.at)
        everything = {**now, name: started}
        try:
            check_layers({key: each.config for key, each in everything.items()})
        except ValueError as error:
            raise ConfigError(str(error)) from error
        link_equal_files(store, bundles)
        record("start" if before is None else "ramp", name, config.model_dump(mode="json"), moment)
        _write(store.folder, everything)
    return started


def stop(store: Store, name: str, reason: str = "") -> StartedExperiment:
    """End an experiment: its users get what is published. Raises: ConfigError where it does not run."""
    with _locked(store.folder) as record:
        now = _running_or_none(store.folder)
        if name not in now:
            raise ConfigError(f"no experiment {name!r} runs; {_listed(now)}")
        record("stop", name, {"reason": reason}, time.time())
        _write(store.folder, {key: each for key, each in now.items() if key != name})
    return now[name]


def stop_all(store: Store, reason: str = "") -> None:
    """End all, also where the file is damaged."""
    with _locked(store.folder) as record:
        record("stop", "*", {"reason": reason}, time.time())
        _write(store.folder, {})


def started_once(folder: Path, name: str) -> StartedExperiment | None:
    """An experiment that runs or ran, as it was last; None where there was none of this name."""
    last: StartedExperiment | None = None
    for line in _history(folder):
        if line["name"] == name and line["action"] != "stop":
            config = ExperimentConfig.model_validate(line["about"])
            last = StartedExperiment(config=config, at=line["at"] if last is None else last.at)
    return last


def stopped_at(folder: Path, name: str) -> float:
    """When it was stopped, seconds since 1970; infinite where it was not."""
    ends = [
        line["at"]
        for line in _history(folder)
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
    if any(line["name"] == name for line in _history(folder)):
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


@contextmanager
def _locked(folder: Path) -> Iterator[Callable[[str, str, Mapping[str, Any], float], None]]:
    """Hold the history's lock; what appends a line to it, durably."""
    with changing(folder), (folder / HISTORY).open("ab", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)

        def record(action: str, name: str, about: Mapping[str, Any], at: float) -> None:
            line = json.dumps({"action": action, "name": name, "at": at, "about": about})
            file.write(b"\n" * _torn(folder / HISTORY) + line.encode() + b"\n")
            os.fsync(file.fileno())

        yield record


def _torn(path: Path) -> bool:
    """Whether the last line has no end: its writer was killed."""
    text = path.read_bytes()
    return bool(text) and not text.endswith(b"\n")


def _history(folder: Path) -> list[dict[str, Any]]:
    """Every whole line."""
    try:
        lines = (folder / HISTORY).read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    listed = []
    for line in lines:
        try:
            listed.append(json.loads(line))
        except ValueError:
            continue  # torn by a writer that was killed
    return [
        line for line in listed if isinstance(line, dict) and {"action", "name", "at", "about"} <= {*line}
    ]


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
