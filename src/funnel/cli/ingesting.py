"""From live traffic to the data."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from funnel.cli.common import INDEXES, ConfigFile, DataPath, Indexes, Json, app, print_json
from funnel.terminal import say


@app.command()
def ingest(
    config_file: ConfigFile,
    data: DataPath = None,
    store: Indexes = INDEXES,
    state: Annotated[
        str | None, typer.Option(help="a path, redis:// or postgresql://; default as [serve] says")
    ] = None,
    as_json: Json = False,
) -> None:
    """Bring observed events and the lists that were shown into the folder of the data, for the next run."""
    from funnel import config as configs
    from funnel.artifacts import Store
    from funnel.pipeline.ingest import ingest as bring

    done = bring(configs.load(config_file, data=data), Store(store), state)
    if as_json:
        print_json(asdict(done))
        return
    lists, joined = done.lists, done.lists.joined
    say(f"{done.events:,} events; {lists.lists:,} lists with {lists.rows:,} items, in {lists.hours:,} hours")
    say(
        f"of the lists' feedback {joined.joined:,} events joined, {joined.duplicates:,} came again, "
        f"{joined.other_user + joined.not_shown + joined.early + joined.late:,} were of something else"
    )
    say(
        f"log: {done.compacted.read:,} answers of {done.compacted.files:,} files compacted, "
        f"{done.compacted.torn + done.compacted.damaged:,} torn or damaged lines, {done.removed:,} old files "
        f"removed; {done.forgotten:,} rows of forgotten people removed"
    )


@app.command()
def impressions(
    store: Indexes = INDEXES,
    hours: Annotated[float, typer.Option(min=0, help="of the last so many hours")] = 24.0,
    window: Annotated[
        str | None,
        typer.Option(help="within which an event may come of its list; default as the published bundle says"),
    ] = None,
    state: Annotated[
        str | None, typer.Option(help="a path, redis:// or postgresql://; default a file in the store")
    ] = None,
    as_json: Json = False,
) -> None:
    """What is in the log of answers, and what came of it: how much joins, and what does not."""
    import time

    from funnel.artifacts import Store
    from funnel.impressions.config import seconds_of
    from funnel.serving.feedback import feedback_figures, window_of
    from funnel.serving.state import open_state

    try:
        seconds = window_of(Store(store)) if window is None else seconds_of(window)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="'--window'") from error
    log = open_state(state or store / "live" / "state.sqlite")
    figures = feedback_figures(store, log, time.time() - 3600 * hours, window=seconds)
    log.close()
    joined = figures.joined
    if as_json:
        print_json({"read": asdict(figures.read), **asdict(joined), "join_rate": joined.join_rate})
        return
    read = figures.read
    damaged = f"{read.torn + read.damaged:,} torn or damaged lines"
    say(f"{joined.answers:,} answers with {joined.shown:,} items; {damaged}")
    rate = "" if not joined.named else f", {joined.join_rate:.1%} of which came of it"
    say(f"{joined.named:,} events name an answer{rate}")
    for name in ("duplicates", "orphans", "other_user", "not_shown", "early", "late"):
        say(f"  {name.replace('_', ' ')}: {getattr(joined, name):,}")
