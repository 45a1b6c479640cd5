"""What `[impressions]` may say."""

from __future__ import annotations

from pydantic import Field, field_validator

from funnel.settings import Settings

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_SIZES = {"MB": 10**6, "GB": 10**9, "TB": 10**12}


class ImpressionsConfig(Settings):
    """Whether answers are logged, what of them, and for how long."""

    log: bool = Field(
        False, description="whether answers are logged; off, since the rows are of people and stay on disk"
    )
    candidates: int = Field(
        50, ge=1, le=1_000, description="items of an answer that are logged, in front of re-ranking"
    )
    window: str = Field("1d", description="within which an event may come of its list: 30m, 6h, 1d")
    keep: str = Field("90d", description="how long the log is kept; what is older goes by itself")
    size: str = Field(
        "100GB", description="of all files of the log; beyond it the oldest hours go, ingested or not"
    )
    sample: float = Field(
        0.01, ge=0, le=1, description="share of answers that are logged with all that makes them again"
    )
    ingest: bool = Field(False, description="whether `funnel run` ingests first, as `funnel ingest` does")
    buffer: int = Field(
        10_000,
        ge=1,
        le=1_000_000,
        description="answers that wait to be written; beyond it they are dropped",
    )

    @field_validator("window", "keep")
    @classmethod
    def _is_a_span(cls, text: str) -> str:
        seconds_of(text)
        return text

    @field_validator("size")
    @classmethod
    def _is_a_size(cls, text: str) -> str:
        bytes_of(text)
        return text

    @property
    def size_bytes(self) -> int:
        """`size` in bytes."""
        return bytes_of(self.size)

    @property
    def window_seconds(self) -> int:
        """`window` in seconds."""
        return seconds_of(self.window)

    @property
    def keep_seconds(self) -> int:
        """`keep` in seconds."""
        return seconds_of(self.keep)


def seconds_of(text: str) -> int:
    """A length of time such as 45s, 30m, 6h or 90d, in seconds. Raises: ValueError for anything else.

    >>> seconds_of("6h")
    21600
    """
    number, unit = text[:-1], text[-1:]
    if unit not in _UNITS or not number.isascii() or not number.isdigit() or not 0 < int(number) <= 100_000:
        raise ValueError("a number and s, m, h or d are expected, such as 30m, 6h or 90d")
    return int(number) * _UNITS[unit]


def bytes_of(text: str) -> int:
    """A size such as 500MB, 20GB or 2TB, in bytes. Raises: ValueError for anything else.

    >>> bytes_of("20GB")
    20000000000
    """
    number, unit = text[:-2], text[-2:]
    if unit not in _SIZES or not number.isascii() or not number.isdigit() or not 0 < int(number) <= 100_000:
        raise ValueError("a number and MB, GB or TB are expected, such as 500MB or 20GB")
    return int(number) * _SIZES[unit]
