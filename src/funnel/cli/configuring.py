"""What a config may say."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from funnel.cli.common import Json, app, print_json


@app.command()
def config(
    pattern: Annotated[str, typer.Argument(help="only keys that contain this, such as `retrieve`")] = "",
    everything: Annotated[
        bool, typer.Option("--all", help="the whole reference as Markdown, as in docs/config.md")
    ] = False,
    as_json: Json = False,
) -> None:
    """Every key that a config file may have: what it takes, its default, what it is for."""
    from funnel.reference import keys, page
    from funnel.terminal import plain, say

    matching = [key for key in keys() if pattern in key.name]
    if as_json:
        print_json([key._asdict() for key in matching])
    elif everything:
        typer.echo(page(), nl=False)
    else:
        table = plain("key", "takes", "default", "what it is for", text=(1, 2, 3))
        for key in matching:
            table.add_row(*key)
        Console().print(table) if matching else say(f"no key contains {pattern!r}")
