"""What the monitor says: what is wrong, since when, how sure, where, and what to look at."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from funnel.monitoring.kinds import KINDS


@dataclass(frozen=True, slots=True)
class Alarm:
    """One thing that is wrong.

    kind: a name of `funnel.monitoring.kinds.KINDS`, and of docs/monitoring.md. subject: what of it, such as
    the name of a feature. part: of which answers, such as "placement=home"; empty: of all. since: seconds
    since 1970, when what was counted began to be off; at: when it was told. chance: how probable this much
    would be, at most, were all well. value, expected: what is seen and what would be right; None where that
    is no number. sentence: all of it in words.
    """

    kind: str
    subject: str
    since: float
    at: float
    chance: float
    sentence: str
    part: str = ""
    value: float | None = None
    expected: float | None = None

    @property
    def key(self) -> str:
        """What it is about: an alarm of the same key is the same one going on."""
        return " ".join(part for part in (self.kind, self.subject, self.part) if part)

    @property
    def look(self) -> str:
        """What to look at first."""
        return KINDS[self.kind].look

    @property
    def of_data(self) -> bool:
        """Whether a bundle that learns from these days would learn what is wrong."""
        return KINDS[self.kind].of_data

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self) | {"key": self.key, "look": self.look, "since_utc": _utc(self.since)}

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> Alarm:
        """What `to_dict` wrote. Raises: KeyError, TypeError or ValueError for what is none."""
        alarm = cls(**{name: raw[name] for name in cls.__slots__})
        KINDS[alarm.kind]
        return alarm


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
