"""Compile ahead: for images, and for installations that will be read-only."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from funnel.cli.common import INDEXES, Indexes, Json, Version, app, print_json


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
    out = Console()
    out.print(
        f"{warmed.version}: {warmed.compiled} functions compiled, {warmed.kept} were there", highlight=False
    )
    for folder in folders:
        out.print(f"  {folder}", style="dim", highlight=False, soft_wrap=True)
