"""How to divide the events."""

from __future__ import annotations

import logging
from datetime import UTC, date, datetime
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from funnel.settings import Settings, distinct

log = logging.getLogger(__name__)


class SplitConfig(Settings):
    """How to divide the events; see `funnel.data.splits`. `protocol` and the moments are for `time` only."""

    kind: Literal["time", "leave_one_out", "given"] = Field(
        "time", description="by time for all users at once; each user's last events; as the data say"
    )
    ranker: float | str = Field(
        default=0.8, description="where its window starts: a share of events or a date"
    )
    test: float | str = Field(default=0.9, description="where the test window starts")
    protocol: Literal["window", "event", "shown"] = Field(
        "window", description="a request: a user in a window; an event; a list that was shown"
    )
    exclude_seen: bool | tuple[str, ...] = Field(
        default=True,
        description="items of the history are neither targets nor returned; a list of kinds of events: those "
        "that the user had one of these with",
    )
    max_requests: int | None = Field(default=None, ge=1, description="at most this many of a part, by chance")
    history_limit: int = Field(
        default=500, ge=1, le=100_000, description="length of a history in the protocols event and shown"
    )

    @model_validator(mode="before")
    @classmethod
    def _earlier_name(cls, raw: Any) -> Any:
        if not isinstance(raw, dict) or "reading" not in raw:
            return raw
        if "protocol" in raw:
            raise ValueError("`reading` is the earlier name of `protocol`, which is there as well: remove it")
        log.warning("split: `reading` is called `protocol` now, and is read as that: rename it")
        return {"protocol" if name == "reading" else name: value for name, value in raw.items()}

    @field_validator("ranker", "test", mode="before")
    @classmethod
    def _moment(cls, value: Any) -> Any:
        if isinstance(value, date):  # TOML has dates of its own
            return value.isoformat()
        if isinstance(value, str):
            try:
                datetime.fromisoformat(value)
            except ValueError as error:
                raise ValueError(
                    f"{value!r} is neither a share of the events nor an ISO 8601 date"
                ) from error
        elif isinstance(value, int | float) and not 0 < value < 1:
            raise ValueError(f"{value!r} is no share of the events: it must be between 0 and 1")
        return value

    @field_validator("exclude_seen")
    @classmethod
    def _kinds_or_none(cls, kinds: bool | tuple[str, ...]) -> bool | tuple[str, ...]:
        if kinds == ():
            raise ValueError('no kind is named: write false, or kinds of events such as ["purchase"]')
        return kinds if isinstance(kinds, bool) else distinct(kinds)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        for name in ("ranker", "test", "protocol", "history_limit") if self.kind != "time" else ():
            if getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f'`{name}` is {getattr(self, name)!r}, which only kind = "time" reads')
        if (
            self.protocol == "window"
            and self.history_limit != type(self).model_fields["history_limit"].default
        ):
            raise ValueError("`history_limit` is for the protocols event and shown; this one is window")
        if (
            isinstance(self.ranker, str)
            and isinstance(self.test, str)
            and not _before(self.ranker, self.test)
        ):
            raise ValueError(
                f"the ranker window ({self.ranker}) must start before the test window ({self.test})"
            )
        if self.protocol == "shown" and self.exclude_seen:
            raise ValueError(
                'with protocol = "shown" all that was shown is ranked: exclude_seen must be false'
            )
        if isinstance(self.ranker, float) and isinstance(self.test, float) and self.ranker >= self.test:
            raise ValueError(
                f"the ranker window ({self.ranker}) must start before the test window ({self.test})"
            )
        return self


def _before(earlier: str, later: str) -> bool:
    """Whether the first ISO 8601 moment is before the second; one without a zone is in UTC."""
    first, second = (datetime.fromisoformat(text) for text in (earlier, later))
    return first.replace(tzinfo=first.tzinfo or UTC) < second.replace(tzinfo=second.tzinfo or UTC)
