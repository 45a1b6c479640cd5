"""What kinds of events there are, and what each is for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from funnel.types.arrays import Bool, Float32

#: A target's kinds are bits of an int32; the highest is its sign.
MOST_KINDS = 30


@dataclass(frozen=True)
class EventKinds:
    """Kinds of events, such as click, purchase and hide. A kind's code is its place in `names`.

    names: at most `MOST_KINDS`. history: for each kind, how much an event of it counts in a history; 0 where
    it is none of it. targets: the same for what is to be found. negatives: whether a kind says that the user
    does not want the item. ignored: kinds that the data have and that are none of these.
    """

    names: tuple[str, ...]
    history: tuple[float, ...]
    targets: tuple[float, ...]
    negatives: tuple[bool, ...]
    ignored: tuple[str, ...] = ()

    @classmethod
    def alike(cls, names: tuple[str, ...]) -> EventKinds:
        """Kinds that all count 1, in histories and as targets."""
        equal = (1.0,) * len(names)
        return cls(names, equal, equal, (False,) * len(names))

    def code(self, name: str) -> int:
        """The code of a kind, −1 where it is none of these."""
        return self._codes.get(name, -1)

    def codes_of(self, other: EventKinds) -> NDArray[np.int8]:
        """The codes here of the other's kinds, by their codes there, and of an unknown one at the end: int8
        [its kinds + 1], −1 where it is none of these."""
        return np.array([*(self.code(name) for name in other.names), -1], dtype=np.int8)

    @property
    def target_names(self) -> tuple[str, ...]:
        """The kinds that are to be found, in the order of their codes."""
        return tuple(name for name, weight in zip(self.names, self.targets, strict=True) if weight)

    @cached_property
    def history_weights(self) -> Float32:
        """float32 [kinds]."""
        return np.array(self.history, dtype=np.float32)

    @cached_property
    def target_weights(self) -> Float32:
        """float32 [kinds]."""
        return np.array(self.targets, dtype=np.float32)

    @cached_property
    def in_history(self) -> Bool:
        """Whether events of a kind are in histories: bool [kinds]."""
        return np.asarray(self.history_weights > 0)

    @cached_property
    def is_target(self) -> Bool:
        """Whether events of a kind are to be found: bool [kinds]."""
        return np.asarray(self.target_weights > 0)

    @cached_property
    def is_negative(self) -> Bool:
        """Whether events of a kind say no: bool [kinds]."""
        return np.array(self.negatives, dtype=np.bool_)

    @cached_property
    def _codes(self) -> dict[str, int]:
        return {name: code for code, name in enumerate(self.names)}
