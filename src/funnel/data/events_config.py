"""What kinds of events there are, and what each is for."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Self

import numpy as np
from pydantic import Field, field_validator, model_validator

from funnel.errors import ConfigError, DataError
from funnel.settings import Settings, distinct
from funnel.types import MOST_KINDS, Bool, EventKinds, Log
from funnel.values.nearest import nearest

Kind = Annotated[str, Field(min_length=1)]


class EventsConfig(Settings):
    """What the kinds in the column `kind` of events are for. Where nothing is said, all kinds are in
    histories and are targets, and count alike."""

    history: dict[Kind, Annotated[float, Field(gt=0, le=1000)]] = Field(
        {}, description="kinds that make a history, and how much each counts there and as a target"
    )
    targets: tuple[Kind, ...] = Field(
        (), description="kinds that are to be found; empty: those of the history"
    )
    negatives: tuple[Kind, ...] = Field(
        (), description="kinds that say no, such as hide: in no history and no target"
    )
    ignore: tuple[Kind, ...] = Field((), description="kinds that are left out, such as impression")

    _each_once = field_validator("targets", "negatives", "ignore")(distinct)

    @field_validator("history", mode="before")
    @classmethod
    def _a_list_counts_alike(cls, value: Any) -> Any:
        return dict.fromkeys(distinct(tuple(value)), 1.0) if isinstance(value, list | tuple) else value

    @model_validator(mode="after")
    def _say_one_thing_each(self) -> Self:
        if not self.history and (self.targets or self.negatives or self.ignore):
            raise ValueError("`history` is empty: name the kinds that make a history, such as {click = 1.0}")
        for name in self.negatives:
            if name in self.history or name in self.targets:
                raise ValueError(f"{name!r} is in `negatives`, and in `history` or `targets`: choose one")
        for name in self.ignore:
            if name in (*self.history, *self.targets, *self.negatives):
                raise ValueError(f"{name!r} is in `ignore` and named elsewhere: choose one")
        if len(self.names) > MOST_KINDS:
            raise ValueError(f"{len(self.names)} kinds are named: at most {MOST_KINDS} are told apart")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The kinds that are not ignored, in the order of the alphabet."""
        return tuple(sorted({*self.history, *self.targets, *self.negatives}))

    @property
    def kinds(self) -> EventKinds:
        """What each of `names` is for."""
        targets = self.targets or tuple(self.history)
        return EventKinds(
            names=self.names,
            history=tuple(self.history.get(name, 0.0) for name in self.names),
            targets=tuple(self.history.get(name, 1.0) if name in targets else 0.0 for name in self.names),
            negatives=tuple(name in self.negatives for name in self.names),
            ignored=tuple(sorted(self.ignore)),
        )

    def applied(self, log: Log) -> Log:
        """The log in the codes of `names`, without ignored kinds; as it is where nothing is said.

        Raises: ConfigError where the log has no kinds, or has none of a name; DataError for a kind of the log
        that is not named. Both say which name is nearest.
        """
        if not self.history:
            return log
        if log.kinds is None:
            raise ConfigError(
                f"events.history names {', '.join(self.history)}, but events has no column `kind`: name the "
                'column in schema.json, as in columns = {"kind": "event_type"}, or leave [events] out'
            )
        self._check(log.kind_names)
        code = np.array([self.names.index(name) if name in self.names else -1 for name in log.kind_names])
        kept = self.kept(log)
        recoded = replace(log, kinds=code[log.kinds].astype(np.int8), event_kinds=self.kinds)
        return recoded if kept.all() else recoded.where(kept)

    def kept(self, log: Log) -> Bool:
        """Which events are not of a kind that is ignored: bool [N]."""
        if log.kinds is None:
            return np.ones(len(log), dtype=np.bool_)
        return np.array([name not in self.ignore for name in log.kind_names], dtype=np.bool_)[log.kinds]

    def _check(self, there: tuple[str, ...]) -> None:
        known = (*self.names, *self.ignore)
        for name in there:
            if name not in known:
                raise DataError(
                    f"events.kind holds {name!r}, which [events] does not name{_near(name, known)} Put it "
                    "into history, targets, negatives or ignore"
                )
        for key in ("history", "targets"):  # a wrong name of the others leaves the right one unnamed
            for name in getattr(self, key):
                if name not in there:
                    raise ConfigError(
                        f"events.{key} names {name!r}, and no event is of that kind{_near(name, there)} "
                        f"The kinds are: {', '.join(there)}"
                    )


def _near(name: str, among: tuple[str, ...]) -> str:
    near = nearest(name, among)
    return f"; did you mean {near!r}?" if near else "."
