"""What is in the store, and what is served from it."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from funnel import show
from funnel.bundle import Store
from funnel.bundle.live import Live
from funnel.cli.common import INDEXES, Indexes, Json, Version, app, print_json
from funnel.errors import FunnelError


@app.command()
def publish(
    version: Annotated[str, typer.Argument(help="the version to serve; default the newest")] = "newest",
    store: Indexes = INDEXES,
    as_json: Json = False,
) -> None:
    """Verify a bundle and make it the one that is served."""
    bundles = Store(store)
    found = bundles.versions()
    if version == "newest" and not found:
        raise FunnelError(f"{store} holds no bundle to publish; `funnel build CONFIG` makes one")
    version = found[0].version if version == "newest" else version
    bundles.publish(version)
    print_json({"published": version}) if as_json else Console().print(f"published {version}")


@app.command()
def inspect(store: Indexes = INDEXES, bundle: Version = "current", as_json: Json = False) -> None:
    """What a bundle is: its parts, data, figures and what the ranker looks at. The files are verified."""
    live = Live(store, bundle)
    print_json(live.manifest.model_dump(mode="json")) if as_json else show.manifest(live, Console())
