"""Hour of the day and day of the week, as codes."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np

from funnel.features.spec import Spec
from funnel.types import Features, Int64

#: The columns that a clock gives, and their forms: the hour from 0 (code 1) to 23, and the day from Monday
#: (code 1) to Sunday.
CLOCK = {"hour": Spec("category", 25, 1), "weekday": Spec("category", 8, 1)}

#: Offsets from UTC change at most this often: every clock changes at a whole quarter of an hour.
_QUARTER = 900

#: Moments beyond these (the years 1 and 9999) have the offset that is valid there.
_FIRST, _LAST = -62_135_510_400, 253_402_214_400


def clock_columns(times: Int64, timezone: str) -> Features:
    """The columns of `CLOCK` at these moments, seconds since 1970: int32, shape of times.

    timezone: a name of the IANA database; "UTC" costs nothing.

    >>> clock_columns(np.array([0]), "UTC")["weekday"].tolist()  # 1970-01-01 was a Thursday
    [4]
    """
    local = times if timezone == "UTC" else times + _offsets(times, ZoneInfo(timezone))
    hour, day = local // 3600 % 24, (local // 86_400 + 3) % 7
    return {"hour": (hour + 1).astype(np.int32), "weekday": (day + 1).astype(np.int32)}


def clock_names() -> dict[str, list[str]]:
    """What the codes of each column stand for, from code 1."""
    days = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
    return {"hour": [str(hour) for hour in range(24)], "weekday": days}


def _offsets(times: Int64, zone: ZoneInfo) -> Int64:
    """Seconds that local time is ahead of UTC, looked up once a quarter of an hour that is there."""
    quarters, position = np.unique(np.clip(times, _FIRST, _LAST) // _QUARTER, return_inverse=True)
    moments = (
        datetime.fromtimestamp(quarter * _QUARTER, UTC).astimezone(zone) for quarter in quarters.tolist()
    )
    seconds = [
        int(offset.total_seconds()) for moment in moments if (offset := moment.utcoffset()) is not None
    ]
    return np.array(seconds, dtype=np.int64)[position].reshape(times.shape)
