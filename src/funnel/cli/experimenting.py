"""Experiments on live traffic: start, judge, ship, stop."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from funnel.cli.common import INDEXES, Indexes, Json, app, check_output, print_json
from funnel.errors import ConfigError
from funnel.terminal import say

if TYPE_CHECKING:
    from funnel.artifacts import Store


@app.command()
def experiment(
    name: Annotated[str | None, typer.Argument(help="as declared; default: list all")] = None,
    store: Indexes = INDEXES,
    start: Annotated[
        Path | None,
        typer.Option("--start", metavar="CONFIG", help="start it as a config declares it, or grow its ramp"),
    ] = None,
    stop: Annotated[bool, typer.Option("--stop", help="end it: its users get what is published")] = False,
    ship: Annotated[
        bool, typer.Option("--ship", help="publish the winner's bundle through the gates, and end it")
    ] = False,
    update: Annotated[
        bool, typer.Option("--update", help="move its shares to the better arms, by what users did so far")
    ] = False,
    state: Annotated[
        str | None, typer.Option(help="where events are observed; default the store's own file")
    ] = None,
    events: Annotated[
        Path | None, typer.Option(help="further events: Parquet or CSV with user_id, item_id, time, kind")
    ] = None,
    page: Annotated[Path | None, typer.Option(help="an HTML file to write")] = None,
    as_json: Json = False,
) -> None:
    """Judge an experiment on live traffic: ship, stop or go on, and why."""
    from funnel import show
    from funnel.artifacts import Store
    from funnel.experiments import running as experiments

    check_output(page)
    kept = Store(store)
    if name is None:
        now = experiments.running(kept.folder)
        print_json(now.model_dump(mode="json")) if as_json else show.experiments(now, Console())
        return
    if start is not None:
        _start(kept, name, start)
        return
    if stop and not ship:
        experiments.stop(kept, name, "by hand")
        say(f"{name} has ended")
        return
    if update:
        _update(kept, name, state, events)
        return
    from funnel.serving.evidence import judged

    judgement = judged(kept.folder, name, state=state, events=events)
    if page is not None:
        from funnel.pages.experiment import write_page

        write_page(judgement, page)
    print_json(judgement.model_dump(mode="json")) if as_json else show.judgement(judgement, Console())
    if ship:
        from funnel.gates.winner import publish_winner

        version = publish_winner(kept, judgement)
        say(f"published {version}; {name} has ended", Console(stderr=as_json))


def _start(store: Store, name: str, path: Path) -> None:
    """Start it as declared."""
    from funnel import config as configs
    from funnel.experiments import running as experiments

    config = configs.load(path, data=path.parent)
    declared, keep = config.experiments, config.impressions.keep
    if name not in declared:
        there = ", ".join(sorted(declared)) or "none"
        raise ConfigError(f"{path} declares no experiment {name!r}; there are: {there}")
    if 86_400 * declared[name].days > config.impressions.keep_seconds:
        raise ConfigError(
            f"experiments.{name}.days is {declared[name].days}, and impressions.keep is {keep!r}: its first "
            "answers would be gone before it can be judged; keep them for as long at least"
        )
    started = experiments.start(store, name, declared[name])
    ramp = 100 * started.config.ramp
    say(f"{name} runs, on {ramp:.3g}% of all users, until day {started.config.days}")


def _update(store: Store, name: str, state: str | None, events: Path | None) -> None:
    """Move its shares."""
    from funnel.serving.weights import update_weights

    started = update_weights(store, name, state=state, events=events)
    shares = ", ".join(f"{arm} {share:.3g}" for arm, share in started.shares[-1].items())
    say(f"{name}, period {len(started.moved)}: {shares}")
