"""The whole pipeline, as it runs every night."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from funnel.cli.common import (
    EMBEDDINGS,
    INDEXES,
    ConfigFile,
    DataPath,
    Embeddings,
    Indexes,
    Json,
    app,
    print_json,
)
from funnel.errors import ConfigError
from funnel.terminal import say

if TYPE_CHECKING:
    from funnel.artifacts import Store
    from funnel.config import Config
    from funnel.pipeline.run.runner import Line
    from funnel.scale import ScaleConfig

log = logging.getLogger(__name__)


@app.command()
def run(
    config_file: ConfigFile,
    data: DataPath = None,
    store: Indexes = INDEXES,
    embeddings: Embeddings = EMBEDDINGS,
    from_step: Annotated[
        str | None, typer.Option("--from", metavar="STEP", help="run this step and all after it again")
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STEP", help="keep what train or rank gave, whatever has changed; again for both"
        ),
    ] = None,
    start_from: Annotated[
        str | None,
        typer.Option(
            help="a version of towers, or `last` of this config, whose weights training starts with"
        ),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="a cluster that works on the steps; replaces scale.address"),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only say what would run, and why")] = False,
    as_json: Json = False,
) -> None:
    """From raw events to what is served: every step whose inputs have changed, through the gates."""
    from funnel import config as configs
    from funnel.artifacts import Store
    from funnel.pipeline import run as pipeline

    if dry_run and start_from is not None:
        raise typer.BadParameter("--dry-run trains nothing: it cannot be combined with --start-from")
    config = configs.load(config_file, data=data)
    scale = config.scale if ray is None else config.scale.at(ray)
    stores = Store(store), Store(embeddings)
    if dry_run:
        lines = pipeline.plan(config, *stores, start=from_step, keep=keep or ())
        print_json({"steps": [asdict(line) for line in lines]}) if as_json else _print(lines)
        return
    lines = []
    try:
        with _workers(scale, stores):
            outcome = pipeline.run(
                config, *stores, start=from_step, keep=keep or (), start_from=start_from,
                progress=True, on_step=lines.append,
            )  # fmt: skip
    finally:
        if lines and not as_json:
            _print(lines)
    _warn_if_changed(config_file, data, config)
    published = stores[0].published()
    if as_json:
        steps = [asdict(line) for line in outcome.lines]
        print_json({"run": outcome.run, "version": outcome.version, "published": published, "steps": steps})
    elif published == outcome.version:
        say(f"{published} is published")
    else:
        say(f"{outcome.version} was published, and {published} was after it: that stays")


@contextmanager
def _workers(scale: ScaleConfig, stores: Sequence[Store]) -> Iterator[None]:
    """What is run in the block is worked on by a cluster, where one is named."""
    from funnel.recipes import done_by
    from funnel.scale import connected

    if not scale.address:
        yield
        return
    with connected(scale, [store.folder for store in stores]) as workers, done_by(workers):
        yield


def _warn_if_changed(config_file: Path, data: Path | None, config: Config) -> None:
    from funnel import config as configs

    try:
        changed = configs.load(config_file, data=data) != config
    except ConfigError:
        changed = True
    if changed:
        log.warning("%s was changed while this ran, which used the earlier content; run again", config_file)


def _print(lines: Sequence[Line]) -> None:
    """A line a step."""
    from funnel.terminal import table

    steps = table("", "step", "", "s", "MiB", "why", "what", text=(1, 4, 5))
    for line in lines:
        seconds = f"{line.seconds:.1f}" if line.action in ("ran", "failed") else ""
        size = f"{line.bytes / 2**20:.1f}" if line.bytes else ""
        style = {"failed": "bold red", "ran": "bold", "runs": "bold"}.get(line.action, "dim")
        what = ", ".join(_words(line.facts))
        steps.add_row(line.step, line.action, seconds, size, line.why, what, style=style)
    Console().print(steps)


def _words(facts: Any) -> list[str]:
    """Figures of a step in words: "items 200", and windows by their days."""
    words = []
    for name, value in facts.items():
        if isinstance(value, dict):
            words += [f"{key} {_word(part)}" for key, part in value.items()]
        elif value not in (None, "", [], 0):
            words.append(f"{name} {_word(value)}")
    return words


def _word(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " to ".join(str(part)[:10] for part in value)
    if isinstance(value, float):
        return f"{value:.4f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
