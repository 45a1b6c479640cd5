"""What rules did to a list, for whoever asks why."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RulesOutcome:
    """Of one list. gave_way: names of the rules that could not hold. proven: whether it is known that no list
    keeps to the rules better. touched: by position, the names of the rules that put an item there.
    """

    gave_way: tuple[str, ...] = ()
    proven: bool = True
    touched: tuple[tuple[str, ...], ...] = ()
