"""Serve over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from funnel.cli.common import INDEXES, Indexes, Trusted, app, console
from funnel.errors import FunnelError
from funnel.terminal import say


@app.command()
def serve(
    store: Indexes = INDEXES,
    config: Annotated[
        Path | None, typer.Option(help="a TOML config whose [serve], [impressions] and [monitor] count")
    ] = None,
    host: Annotated[str | None, typer.Option(help="address; default 127.0.0.1")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65_535, help="default 8000; 0: a free one")] = None,
    trust: Trusted = None,
    keys: Annotated[Path | None, typer.Option(help="a file of API keys, see `funnel keys`")] = None,
    state: Annotated[
        str | None, typer.Option(help="a path, redis:// or postgresql://; default a file in the store")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, max=256, help="processes; default 1")] = None,
) -> None:
    """Answer over HTTP from what is published, with as many processes as are wanted, until SIGTERM."""
    from funnel import config as configs
    from funnel.artifacts import Store
    from funnel.service.config import ServeConfig

    try:
        from funnel.service.supervisor import serve as run
    except ImportError as error:
        raise FunnelError(f'{error.name} is not installed: pip install "funnel-rank[serve]"') from error
    # Only its [serve], [impressions], [monitor] and [store] trust count; the data need not be here.
    loaded = None if config is None else configs.load(config, data=config.parent)
    settings = ServeConfig() if loaded is None else loaded.serve
    trusted = [*(trust or ()), *(loaded.store.trust if loaded else ())]
    given = {"host": host, "port": port, "workers": workers, "keys": None if keys is None else str(keys)}
    given["state"] = state
    settings = settings.model_copy(update={key: value for key, value in given.items() if value is not None})
    run(
        Store(store.resolve(), trusted),
        settings,
        lambda address, version: say(f"{version} answers at {address}", console),
        loaded.impressions if loaded is not None and "impressions" in loaded.model_fields_set else None,
        loaded.monitor if loaded is not None and "monitor" in loaded.model_fields_set else None,
    )
