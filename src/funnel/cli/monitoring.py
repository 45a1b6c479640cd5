"""What the monitor says, and what is said to it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from funnel.cli.common import INDEXES, Indexes, Json, app, console, print_json
from funnel.terminal import say


@app.command()
def monitor(
    store: Indexes = INDEXES,
    watch: Annotated[
        bool, typer.Option("--watch", help="look here, until interrupted: for a Live in your own process")
    ] = False,
    accept: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help='what is seen of this is right, such as "drift context price"'),
    ] = None,
    replay: Annotated[
        float | None, typer.Option(metavar="HOURS", min=0, help="make the logged answers of so long again")
    ] = None,
    as_json: Json = False,
) -> None:
    """What is wrong with what is served; exit code 1 where something is, or where who watched does so no
    more. See docs/monitoring.md."""
    if accept:
        _accept(store, accept)
    elif replay is not None:
        _replay(store, replay, as_json)
    elif watch:
        _watch(store)
    else:
        _show(store, as_json)


def _show(store: Any, as_json: bool) -> None:
    import time

    from rich.console import Console

    from funnel import show
    from funnel.monitoring.alarm import Alarm
    from funnel.monitoring.files import ALARMS, SILENT, monitor_folder, read

    raw = read(monitor_folder(store) / ALARMS)
    hours = 0.0 if raw is None else (time.time() - raw["at"]) / 3600
    is_silent = 3600 * hours > SILENT
    if as_json:
        print_json(raw)
    elif raw is None:
        say(f"no monitor has looked at {store}: `funnel serve` does, and `funnel monitor --watch`", console)
    else:
        alarms = [Alarm.from_dict(entry) for entry in raw["alarms"]]
        show.alarms(alarms, raw["version"], raw["at"], Console())
    if is_silent:
        say(f"no monitor has looked for {hours:,.0f} hours: what is wrong now, nobody can say", console)
    if is_silent or (raw is not None and raw["alarms"]):
        raise typer.Exit(1)


def _accept(store: Any, names: list[str]) -> None:
    from funnel.errors import ConfigError
    from funnel.monitoring.files import ACCEPTED, ALARMS, monitor_folder, read, write
    from funnel.monitoring.watching import accepted
    from funnel.values.nearest import hint

    folder = monitor_folder(store)
    there = [alarm["key"] for alarm in (read(folder / ALARMS) or {}).get("alarms", [])]
    for name in names:
        if name not in there:
            raise ConfigError(f"no alarm is called {name!r}; {hint(name, there)}")
    write(folder / ACCEPTED, {"names": [*accepted(folder / ACCEPTED), *names]})
    say("the monitor takes it up at its next look", console)


def _watch(store: Any) -> None:
    """Until SIGINT or SIGTERM; what goes wrong in a look is logged, and is not the end."""
    import signal
    import threading

    from funnel.monitoring.thread import Monitoring, config_of
    from funnel.serving.live import Live

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    live = Live(store, watch=5)
    monitoring = Monitoring(live, config_of(live).model_copy(update={"on": True}))
    say(f"{live.version} is watched", console)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        monitoring.stop()
        live.close()


def _replay(store: Any, hours: float, as_json: bool) -> None:
    from rich.console import Console

    from funnel import show
    from funnel.monitoring.offline import replayed

    result = replayed(store, hours)
    if as_json:
        print_json(result.to_dict())
    else:
        show.replayed(result, Console())
    if result.different:
        raise typer.Exit(1)
