"""What a stage is."""

from __future__ import annotations

import operator
from typing import Any, Protocol, runtime_checkable

from funnel.errors import ConfigError
from funnel.types import Candidates, Requests


class Stage(Protocol):
    """A named callable: the same requests, fewer or reordered positions.

    Of plugins: `@register("stage", NAME)` on what makes one from `Parts`; see `rerank.stages`.

    Lists come out descending, ties by item row, empty positions last.
    """

    @property
    def name(self) -> str:
        """How reports and traces call it; unique within a funnel."""

    def __call__(self, requests: Requests, candidates: Candidates) -> Candidates:
        """The candidates that are left, or in the new order. Never changes its input."""


@runtime_checkable
class Skippable(Protocol):
    """A stage that a request can do without when its time is short."""

    def skip(self, candidates: Candidates) -> Candidates:
        """The candidates that go on where the stage is skipped."""


def positive(value: Any, what: str) -> int:
    """`value` as a number of positions.

    Raises: ConfigError unless it is a whole number of at least 1.
    """
    try:
        number = operator.index(value)
    except TypeError:
        raise ConfigError(f"{what} is {value!r}; it must be a whole number of at least 1") from None
    if number < 1 or isinstance(value, bool):
        raise ConfigError(f"{what} is {value!r}; it must be a whole number of at least 1")
    return number
