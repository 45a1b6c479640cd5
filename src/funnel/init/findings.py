"""Guesses with their reasons and how sure they are; and what is not used, and why."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from funnel.settings import Settings

if TYPE_CHECKING:
    from funnel.init.event_kinds import KindsInFile

#: certain: the file says so. likely: names and values agree. unsure: look at it.
Sure: TypeAlias = Literal["certain", "likely", "unsure"]


class Conclusion(Settings):
    """One guess. where: a file or a column; what: what it was taken for; because: what that was read from."""

    where: str
    what: str
    because: str
    sure: Sure


class Unused(Settings):
    """A file, a column or rows that the schema leaves out. why: and what would make them usable."""

    where: str
    why: str


@dataclass
class Notes:
    """Collects conclusions and what is not used. kinds: of events, where a column says them."""

    findings: list[Conclusion] = field(default_factory=list)
    unused: list[Unused] = field(default_factory=list)
    kinds: KindsInFile | None = None

    def leave(self, where: str, why: str) -> None:
        """Note that something is not used."""
        self.unused.append(Unused(where=where, why=why))
