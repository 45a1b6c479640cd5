"""Is what the new bundle learned from right: what the monitor of the served bundle says of the last days."""

from __future__ import annotations

import time

from funnel.artifacts import Store
from funnel.errors import DataError
from funnel.gates.config import GatesConfig
from funnel.gates.findings import Finding, at_most, could_not_look
from funnel.monitoring.alarm import Alarm
from funnel.monitoring.files import ALARMS, monitor_folder, read

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
    wrong = [alarm.key for alarm in alarms if alarm.of_data]
    names = f" ({', '.join(wrong)})" if wrong else ""
    what = f"alarms on what a bundle learns from{names}"
    return at_most("monitor", len(wrong), config.monitor_alarms, what)


def _passed(why: str) -> Finding:
    return Finding(gate="monitor", passed=True, value=0, limit=0, sentence=why)
