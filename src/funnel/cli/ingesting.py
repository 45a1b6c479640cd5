"""From live traffic to the data."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console

from funnel.cli.common import INDEXES, ConfigFile, DataPath, Indexes, Json, app, print_json


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
    out = Console()
    out.print(
        f"{done.events:,} events; {lists.lists:,} lists with {lists.rows:,} items, in {lists.hours:,} hours"
    )
    out.print(
        f"of the lists' feedback {joined.joined:,} events joined, {joined.duplicates:,} came again, "
        f"{joined.other_user + joined.not_shown + joined.early + joined.late:,} were of something else"
    )
    out.print(
        f"log: {done.compacted.read:,} answers of {done.compacted.files:,} files compacted, "
        f"{done.compacted.torn + done.compacted.damaged:,} torn or damaged lines, {done.removed:,} old files "
        f"removed; {done.forgotten:,} rows of forgotten people removed"
    )
