"""Whether lists are drawn, what that does, and the end of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from funnel.cli.common import INDEXES, Indexes, Json, app, console, print_json

#: The loss that may be, where the bundle does not say one.
ALLOWED = 0.05


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
        console.print("every process follows within about a second", markup=False)
        return
    comparison = _harm(store, allowed, reward, state)
    if check and comparison.is_shown:
        set_exploring(store, on=False, why=comparison.sentence)
    if as_json:
        print_json(comparison.to_dict())
    else:
        console.print(comparison.sentence, markup=False, highlight=False)
    if comparison.is_shown:
        raise typer.Exit(1)


def _harm(store: Path, allowed: float | None, reward: str | None, state: str | None) -> Any:
    from funnel.artifacts import Store
    from funnel.bundle.contents import load_contents
    from funnel.impressions import answers_folder
    from funnel.off_policy.harm import harm
    from funnel.off_policy.replay import Reward
    from funnel.serving.state import open_state

    if allowed is None:
        drawing = load_contents(Store(store).path("current")).explore
        allowed = ALLOWED if drawing is None or drawing.max_loss is None else drawing.max_loss
    events = open_state(store / "live" / "state.sqlite" if state is None else state)
    return harm(answers_folder(store), events, allowed=allowed, reward=Reward(reward))
