"""Compile ahead: for images, and for installations that will be read-only."""

from __future__ import annotations

from rich.console import Console

from funnel.cli.common import INDEXES, Indexes, Json, Version, app, print_json


@app.command()
def warm(store: Indexes = INDEXES, bundle: Version = "current", as_json: Json = False) -> None:
    """Compile all that a bundle needs to be served, and keep it beside the package: for building images."""
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
