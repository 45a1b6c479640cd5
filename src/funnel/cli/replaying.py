"""What something else would have earned."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from funnel.cli.common import INDEXES, ConfigFile, Indexes, Json, app, print_json

if TYPE_CHECKING:
    from funnel.artifacts import Store
    from funnel.config import Config
    from funnel.off_policy.judged import JudgedPolicy


@app.command()
def replay(
    config: ConfigFile,
    log: Annotated[
        Path | None, typer.Option("--log", help="the log of answers; default the store's own")
    ] = None,
    store: Indexes = INDEXES,
    bundle: Annotated[
        str | None,
        typer.Option(
            "--bundle", help="judge this version, in place of the config's [rerank], rules and [explore]"
        ),
    ] = None,
    state: Annotated[
        str | None, typer.Option(help="where events are observed; default the store's own file")
    ] = None,
    reward: Annotated[
        str | None, typer.Option(help="the kind of events that counts; default any that came of an item")
    ] = None,
    valued: Annotated[bool, typer.Option("--valued", help="count an event's value, not one")] = False,
    estimator: Annotated[
        list[str] | None, typer.Option(help="ips, snips, rips or snrips; default snips and snrips")
    ] = None,
    clip: Annotated[float | None, typer.Option(min=1, help="cut weights at this")] = None,
    floor: Annotated[float, typer.Option(min=1, help="effective lists below which nothing is said")] = 100.0,
    as_json: Json = False,
) -> None:
    """What another policy or bundle would have earned, from lists that were drawn by chance."""
    from rich.console import Console

    from funnel import config as configs
    from funnel import show
    from funnel.artifacts import Store
    from funnel.impressions import answers_folder
    from funnel.off_policy.replay import Reward
    from funnel.off_policy.replay import replay as replayed
    from funnel.serving.state import open_state

    kept = Store(store)
    wanted = configs.load(config)
    judged = _judged(wanted, kept, bundle)
    events = open_state(store / "live" / "state.sqlite" if state is None else state)
    counts = Reward(reward, valued, wanted.impressions.window_seconds)
    result = replayed(
        kept, judged, answers_folder(store) if log is None else log, events, reward=counts,
        estimators=estimator or ("snips", "snrips"), clip=clip, floor=floor,
    )  # fmt: skip
    print_json(result.to_dict()) if as_json else show.replay(result, Console())


def _judged(config: Config, store: Store, bundle: str | None) -> JudgedPolicy:
    from funnel.bundle.contents import load_contents
    from funnel.off_policy.judged import OtherBundle, OtherPolicy
    from funnel.off_policy.wanted import drawing_of

    if bundle is not None:
        return OtherBundle(load_contents(store.path(bundle)))
    return OtherPolicy({"rerank": config.rerank, "rules": config.rules}, drawing_of(config.explore))
