"""Of the answers that were made again lately, how many are not the same."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from funnel.monitoring.alarm import Alarm
from funnel.monitoring.counting import Remade

#: Answers that are looked back at; the share that may differ, for a change that came meanwhile; and the share
#: and number that are an alarm.
_BACK, _MAY, _SHARE, _LEAST = 100, 0.01, 0.1, 3


class ReplayCheck:
    """The last answers that could be compared."""

    def __init__(self) -> None:
        self._last: deque[tuple[float, str | None]] = deque(maxlen=_BACK)

    def alarms(self, now: float, remade: Iterable[Remade]) -> list[Alarm]:
        """With those of this look."""
        for answer in remade:
            if answer.equal is not None:
                self._last.append((answer.impression.time, None if answer.equal else answer.impression.id))
        wrong = [(time, name) for time, name in self._last if name is not None]
        n = len(self._last)
        if len(wrong) < _LEAST or len(wrong) < _SHARE * n:
            return []
        from scipy.stats import binom  # half a second, for what hardly ever is

        chance = max(float(binom.sf(len(wrong) - 1, n, _MAY)), 1e-300)
        names = ", ".join(str(name) for _, name in wrong[-3:])
        sentence = f"{len(wrong)} of {n} answers do not come out again as they were given, such as {names}"
        return [Alarm("replay", "", wrong[0][0], now, chance, sentence, "", len(wrong) / n, _MAY)]
