"""What an experiment is judged by: a sum a user, over another sum a user or over users."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, Self, cast

_FORM = re.compile(r"(?:(value) of )?([a-z][a-z0-9_]*) per (user|answer|item)")

#: Of answers, not of events. Less is better of each.
OF_ANSWERS = ("milliseconds", "empty", "fewer")


@dataclass(frozen=True)
class LiveMetric:
    """One metric: `click per answer`, `value of purchase per user`, `milliseconds per answer`.

    what: a kind of event; or of answers: `milliseconds`, `empty` (nothing came back) or `fewer` (than were
    wanted). value: the events' values are added, not their number. per: users, answers, or items shown.
    """

    what: str
    value: bool
    per: Literal["user", "answer", "item"]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises: ValueError for what is none, with what would be one."""
        match = _FORM.fullmatch(text)
        if match is None:
            raise ValueError(
                f"{text!r} is no metric: write KIND per user, answer or item, such as 'click per answer', "
                "'value of purchase per user' or 'milliseconds per answer'"
            )
        metric = cls(match[2], match[1] is not None, cast(Literal["user", "answer", "item"], match[3]))
        if metric.value and metric.less_is_better:
            raise ValueError(f"{text!r} is no metric: only events have a value")
        return metric

    @property
    def less_is_better(self) -> bool:
        """Whether a fall is an improvement."""
        return self.what in OF_ANSWERS
