"""What is wrong with what is served."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.console import Console

from funnel.terminal import literal, table

if TYPE_CHECKING:
    from funnel.monitoring.alarm import Alarm
    from funnel.monitoring.offline import ReplayFigures


def alarms(alarms: Sequence[Alarm], version: str, at: float, out: Console) -> None:
    """What is wrong with what is served."""
    moment = datetime.fromtimestamp(at, UTC).isoformat(sep=" ", timespec="seconds")[:19]
    if not alarms:
        out.print(literal(f"nothing is wrong with {version}, as of {moment} UTC"))
        return
    rows = table(f"{version}, as of {moment} UTC", "alarm", "what", "since (UTC)", "look at", text=(1, 3))
    for alarm in alarms:
        since = datetime.fromtimestamp(alarm.since, UTC).isoformat(sep=" ", timespec="minutes")[:16]
        rows.add_row(alarm.key, alarm.sentence, since, alarm.look)
    out.print(rows)


def replayed(replayed: ReplayFigures, out: Console) -> None:
    """How many answers came out again."""
    rows = table("answers made again", "same", "different", "nobody can tell", "bundle is gone")
    counts = (replayed.same, replayed.different, replayed.unknown, replayed.gone)
    rows.add_row(*(f"{count:,}" for count in counts))
    out.print(rows)
    if replayed.examples:
        out.print(literal(f"  different: {', '.join(replayed.examples)}"))
