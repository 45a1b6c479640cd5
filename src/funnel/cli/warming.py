"""Compile ahead: for images, and for installations that will be read-only."""

from __future__ import annotations

from typing import Annotated

import typer

from funnel.cli.common import INDEXES, Indexes, Json, Version, app, print_json
from funnel.terminal import say


@app.command()
def warm(
    store: Indexes = INDEXES,
    bundle: Version = "current",
    example: Annotated[
        bool,
        typer.Option("--example", help="of a small example in place of a bundle: what training needs too"),
    ] = False,
    as_json: Json = False,
) -> None:
    """Compile all that a bundle needs to be served, and keep it beside the package: for building images."""
    if example:
        from funnel.pipeline.example import warm_everything

        warmed = warm_everything()
    else:
        from funnel.serving.warm import warm as compile_all

        warmed = compile_all(store, bundle)
    folders = sorted(map(str, warmed.folders))
    if as_json:
        print_json(
            {"version": warmed.version, "compiled": warmed.compiled, "kept": warmed.kept, "in": folders}
        )
        return
    say(f"{warmed.version}: {warmed.compiled} functions compiled, {warmed.kept} were there")
    for folder in folders:
        say(f"  {folder}")
