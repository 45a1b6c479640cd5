"""Runs the steps: decides which must run and why, runs them, and records it in the log of runs."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from funnel.artifacts import Store, signing
from funnel.artifacts.writing import changing
from funnel.config import Config
from funnel.errors import ConfigError
from funnel.pipeline.ingest import ingest
from funnel.pipeline.progress import step as timed
from funnel.pipeline.run.context import RUNS, Context
from funnel.pipeline.run.differences import differences
from funnel.pipeline.run.journal import Entry, append
from funnel.pipeline.run.lock import only_run
from funnel.pipeline.run.steps import STEPS, PipelineStep
from funnel.pipeline.run.work import Result, key_of
from funnel.values.nearest import nearest

#: Steps whose results may be kept although their inputs changed; all others hold row numbers of the data.
KEEPABLE = ("train", "export", "rank")


@dataclass(frozen=True)
class Line:
    """What is, or would be, done with a step, and why. "may run" depends on what an earlier step gives."""

    step: str
    action: Literal["runs", "may run", "unchanged", "kept", "ran", "failed"]
    why: str = ""
    seconds: float = 0.0
    bytes: int = 0
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """A finished run. version: the bundle, which is published unless it was rolled back since."""

    run: str
    version: str
    lines: tuple[Line, ...]


def plan(
    config: Config,
    indexes: Store,
    embeddings: Store,
    *,
    start: str | None = None,
    keep: Collection[str] = (),
) -> list[Line]:
    """What `run` would do with each step, and why. Changes nothing."""
    context = _context(config, indexes, embeddings, start, keep)
    lines: list[Line] = []
    moving: set[str] = set()
    for step in STEPS:
        line, result = _decide(context, step, moving)
        lines.append(line)
        if result is None:
            moving.add(step.name)
        else:
            context.results[step.name] = result
    return lines


def run(
    config: Config,
    indexes: Store,
    embeddings: Store,
    *,
    start: str | None = None,
    keep: Collection[str] = (),
    start_from: str | None = None,
    progress: bool = False,
    on_step: Callable[[Line], None] = lambda line: None,
) -> Outcome:
    """Run every step whose inputs have changed since it last ended; the last one publishes the bundle.

    start: a step that runs again, with all after it, whatever has changed. keep: steps whose last result is
    kept, whatever has changed; "train" keeps the towers, and new items get vectors by their columns; "rank"
    keeps the ranker. start_from: a version of towers, or "last" for the newest of the config's name:
    training, if it must run, starts with its weights. on_step: is called with a line after each step.

    A run that was killed resumes after the last step that ended, and training after its last epoch.
    Raises: ConfigError for unknown steps, BundleError when another run is at work in the store or it cannot
    be written, GateError when a gate failed, DataError when the data cannot be used. After an error
    the bundle that was published before is still served.

        outcome = run(config, Store("indexes"), Store("embeddings"))
    """
    if config.impressions.ingest:
        ingest(config, indexes)
    context = _context(config, indexes, embeddings, start, keep)
    context.start_from, context.progress = start_from, progress
    name = f"{datetime.now(UTC).isoformat(timespec='seconds')}-{os.getpid()}"
    lines: list[Line] = []
    with only_run(indexes.folder / RUNS, config.name):
        context.work.forget(context.forced)
        for step in STEPS:
            line, result = _decide(context, step, set())
            if result is None:
                line, result = _run(context, step, line.why, name, on_step)
            context.results[step.name] = result
            lines.append(line)
            on_step(line)
    return Outcome(name, context.results["evaluate"].output, tuple(lines))


def _context(
    config: Config, indexes: Store, embeddings: Store, start: str | None, keep: Collection[str]
) -> Context:
    names = [step.name for step in STEPS]
    forced = names[names.index(_known(start, names)) :] if start else []
    kept = {_known(step, names) for step in keep}
    if wrong := sorted(kept - set(KEEPABLE)):
        raise ConfigError(f"{wrong[0]!r} cannot be kept when data change; one of {', '.join(KEEPABLE)} can")
    if kept & {"train", "export"}:  # one thing, the towers
        kept |= {"train", "export"}
    if both := [name for name in names if name in kept and name in forced]:
        raise ConfigError(f"{both[0]!r} is to be kept and, from {start!r} on, to run again: one of both")
    if config.store.key:
        signing.public(Path(config.store.key))  # raises for what is no key, before any work is done
    context = Context(config, indexes, embeddings, frozenset(kept), frozenset(forced))
    if missing := [name for name in names if name in kept and context.work.latest(name) is None]:
        raise ConfigError(f"there is no result of {missing[0]!r} to keep: run once without keeping it")
    return context


def _known(name: str, names: list[str]) -> str:
    if name not in names:
        near = nearest(name, names)
        suggestion = f"did you mean {near!r}? " if near else ""
        raise ConfigError(f"there is no step {name!r}: {suggestion}The steps are {', '.join(names)}")
    return name


def _inputs(run: Context, step: PipelineStep) -> dict[str, Any]:
    """Everything that a step's result depends on."""
    results, others = {name: run.results[name].output for name in step.after}, step.inputs(run)
    assert not results.keys() & others.keys(), "one would hide that the other has changed"
    return {**results, **others}


def _decide(run: Context, step: PipelineStep, moving: set[str]) -> tuple[Line, Result | None]:
    """What to do with a step, and its result where that is nothing. moving: earlier steps that run."""
    last = run.work.latest(step.name)
    if last is not None and step.name in run.keep:
        return Line(step.name, "kept", f"made {last.at[:16]}", facts=last.facts), last
    if step.name in run.forced:
        return Line(step.name, "runs", "requested"), None
    if first := [name for name in step.after if name in moving]:
        return Line(step.name, "may run", f"depends on what {' and '.join(first)} will give"), None
    if last is None:
        return Line(step.name, "runs", "has no result yet"), None
    inputs = _inputs(run, step)
    if key_of(inputs) != last.key:
        return Line(step.name, "runs", differences(last.inputs, inputs)), None
    if not step.there(run, last):
        return Line(step.name, "runs", f"{last.output} is not there any more"), None
    return Line(step.name, "unchanged", bytes=last.bytes, facts=last.facts), last


def _run(
    run: Context, step: PipelineStep, why: str, name: str, on_step: Callable[[Line], None]
) -> tuple[Line, Result]:
    """Run a step; the log of runs has its beginning and its end."""
    folder = run.indexes.folder

    def entry(event: Literal["began", "ended", "failed"], **about: Any) -> Entry:
        return Entry(run=name, at=_now(), config=run.config.name, step=step.name, event=event, **about)

    with changing(folder):
        append(folder, entry("began", why=why))
    began = time.perf_counter()
    try:
        with run.work.writing(_inputs(run, step)) as writing:
            with timed(step.name):
                step.do(run, writing)
            seconds = round(time.perf_counter() - began, 3)
            result = run.work.finish(writing, step.name, seconds)
    except BaseException as error:
        seconds = round(time.perf_counter() - began, 3)
        on_step(Line(step.name, "failed", why, seconds))
        with suppress(OSError):  # a full disk is no reason to hide what went wrong
            append(folder, entry("failed", why=why, seconds=seconds, error=str(error) or repr(error)))
        raise
    figures = {
        "seconds": result.seconds,
        "bytes": result.bytes,
        "output": result.output,
        "facts": result.facts,
    }
    with changing(folder):
        append(folder, entry("ended", why=why, **figures))
    return Line(step.name, "ran", why, result.seconds, result.bytes, result.facts), result


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")
