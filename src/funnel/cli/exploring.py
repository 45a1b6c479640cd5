"""Whether lists are drawn, what that does, and the end of it."""

from __future__ import annotations

from typing import Annotated

import typer

from funnel.cli.common import INDEXES, Indexes, Json, app, console, print_json
from funnel.terminal import say


@app.command()
def explore(
    store: Indexes = INDEXES,
    stop: Annotated[
        str | None, typer.Option("--stop", metavar="WHY", help="end it, in every process")
    ] = None,
    start: Annotated[bool, typer.Option("--start", help="let it go on after a stop")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="end it where harm is shown; exit code 1 then")
    ] = False,
    allowed: Annotated[
        float | None,
        typer.Option(min=0, max=0.99, help="the loss that may be; default `explore.max_loss`, or 0.05"),
    ] = None,
    reward: Annotated[str | None, typer.Option(help="the kind of events that counts; default any")] = None,
    state: Annotated[
        str | None, typer.Option(help="where events are observed; default the store's own file")
    ] = None,
    as_json: Json = False,
) -> None:
    """What drawing lists by chance does to rewards; --stop ends it, without a new bundle. See
    docs/explore.md."""
    from funnel.serving.exploring import set_exploring

    if stop is not None or start:
        set_exploring(store, on=stop is None, why=stop or "")
        say("every process follows within about a second", console)
        return
    from funnel.artifacts import Store
    from funnel.off_policy.harm import drawing_of, end_where_shown, harm_of
    from funnel.off_policy.replay import Reward
    from funnel.serving.feedback import window_of

    kept = Store(store)
    drawing = drawing_of(kept) if allowed is None else None
    counts = Reward(reward, window=window_of(kept))
    comparison = harm_of(kept, drawing, allowed=allowed, reward=counts, state=state)
    if check:
        end_where_shown(store, comparison)
    if as_json:
        print_json(comparison.to_dict())
    else:
        say(comparison.sentence, console)
    if comparison.is_shown:
        raise typer.Exit(1)
