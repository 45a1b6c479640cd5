"""By how much counts vary more than by chance, since answers come in sessions: learned as they come.

A factor of the variance that chance would have, as in quasi-likelihood; never below one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Generic, TypeVar

Key = TypeVar("Key", bound=tuple[str, ...])


class Dispersions(Generic[Key]):
    """values: by what is counted, a mean over about the last `over` estimates."""

    def __init__(self, over: float) -> None:
        self._over, self.values = over, dict[Key, float]()

    def learn(self, key: Key, estimate: float) -> None:
        """One more estimate, such as that of an hour."""
        before = self.values.get(key, estimate)
        self.values[key] = before + (estimate - before) / self._over

    def of(self, key: Key) -> float:
        """What is known; 1 where nothing is."""
        return max(1.0, self.values.get(key, 1.0))

    def to_list(self) -> list[list[Any]]:
        """Plain values, ready for JSON."""
        return [[*key, value] for key, value in self.values.items()]

    def take(self, raw: Iterable[Any], kind: type[Key]) -> None:
        """What `to_list` wrote, of keys of that kind."""
        self.values = {kind(*names): float(value) for *names, value in raw}
