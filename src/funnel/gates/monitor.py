"""Is what the new bundle learned from right: what the monitor of the served bundle says of the last days."""

from __future__ import annotations

import time
from collections.abc import Sequence

from funnel.artifacts import Store
from funnel.errors import DataError
from funnel.gates.config import GatesConfig
from funnel.gates.findings import Finding, at_most, could_not_look
from funnel.monitoring.alarm import Alarm
from funnel.monitoring.files import ALARMS, monitor_folder, read

#: Kinds of alarms that are told and not counted: how seldom they are false is not shown yet, see
#: docs/monitoring.md, and a false one would hold every night's bundle.
HINTS = frozenset({"clicks", "drift", "feature"})

#: Seconds after which a verdict says nothing of today.
_OLD = 86_400


def watched(store: Store, config: GatesConfig) -> Finding:
    """Alarms that are going on and that are about what bundles learn from, such as lost feedback. Passes
    where no monitor has looked within a day, and says so."""
    path = monitor_folder(store.folder) / ALARMS
    try:
        raw = read(path)
        if raw is None:
            return _passed("no monitor has looked at this store")
        hours = (time.time() - float(raw["at"])) / 3600
        alarms = [Alarm.from_dict(entry) for entry in raw["alarms"]]
    except (DataError, KeyError, TypeError, ValueError) as error:
        return could_not_look("monitor", f"{path} cannot be read ({error})")
    if not -1 < hours * 3600 < _OLD:
        return _passed(f"the monitor has looked {hours:,.0f} hours ago, which says nothing of today")
    of_data = [alarm for alarm in alarms if alarm.of_data]
    wrong = [alarm for alarm in of_data if alarm.kind not in HINTS]
    hints = [alarm for alarm in of_data if alarm.kind in HINTS]
    what = f"alarms on what a bundle learns from{_names(wrong)}"
    what += f", beside hints that do not count{_names(hints)}" if hints else ""
    return at_most("monitor", len(wrong), config.monitor_alarms, what)


def _names(alarms: Sequence[Alarm]) -> str:
    return f" ({', '.join(alarm.key for alarm in alarms)})" if alarms else ""


def _passed(why: str) -> Finding:
    return Finding(gate="monitor", passed=True, value=0, limit=0, sentence=why)
