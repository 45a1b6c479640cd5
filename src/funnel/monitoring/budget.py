"""How improbable something must be to be an alarm, so that few in a month are false.

`false_alarms` of 30 days are shared evenly by the layers that decide by chance; a layer's share evenly by all
that it looks at in a month, so that it pays for every rate, part, feature and look (Bonferroni, or what an
alarm costs where the mean time to a false one is known).
"""

from __future__ import annotations

from funnel.monitoring.config import MonitorConfig

MONTH = 30 * 86_400.0

#: Rates, labels, days of labels, windows and slow changes.
LAYERS = 5


def chance(config: MonitorConfig, things: int, every: float) -> float:
    """That one look at one of so many things may be a false alarm. every: seconds between two looks."""
    return config.false_alarms / LAYERS / max(things, 1) * every / MONTH
