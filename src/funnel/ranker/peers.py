"""Processes that grow the same trees, each from lists of its own."""

from __future__ import annotations

import math
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from funnel.recipes import Member

#: Minutes after which LightGBM gives up waiting for another process.
_MINUTES = 10


class Peers:
    """What processes tell each other beside the trees: numbers that all lists together decide.

    of: how many there are. gather: called by all with a value each, gives what all gave, in one order; None
    where there is no other.
    """

    def __init__(self, of: int = 1, gather: Callable[[Any], list[Any]] | None = None) -> None:
        self.of, self._gather = of, gather

    def total(self, *numbers: float) -> tuple[float, ...]:
        """The sum of each number over all processes: the same in all of them, to the last digit."""
        if self._gather is None:
            return numbers
        return tuple(map(math.fsum, zip(*self._gather(numbers), strict=True)))

    def any(self, here: bool) -> bool:
        """Whether it is so in any process."""
        return self.total(float(here))[0] > 0

    def mean(self, mean: float, weight: float) -> float:
        """The mean over what all have. mean, weight: of what this one has."""
        if self._gather is None:
            return mean
        total, weights = self.total(mean * weight, weight)
        return total / weights if weights > 0 else 0.0

    @property
    def parameters(self) -> dict[str, Any]:
        """Of LightGBM, for data sets and models that `network` connects."""
        if self.of == 1:
            return {}
        return {"tree_learner": "data", "num_machines": self.of, "pre_partition": True}


#: Of trees that one process grows.
ALONE = Peers()


@contextmanager
def network(member: Member) -> Iterator[Peers]:
    """The block's thread with LightGBM's sockets to the threads of the other processes.

    Raises: LightGBM's error where one cannot be reached within ten minutes.
    """
    import lightgbm

    with socket.socket() as free:
        free.bind((member.host, 0))
        port = free.getsockname()[1]
    about = {
        "machines": ",".join(member.gather(f"{member.host}:{port}")),
        "num_machines": member.of,
        "local_listen_port": port,
        "time_out": _MINUTES,
    }
    fewest = {"min_data_in_leaf": 1, "min_data_in_bin": 1, "verbosity": -1}
    # LightGBM connects what it makes a model of: here the fewest rows that it takes.
    rows = lightgbm.Dataset(np.arange(4.0).reshape(-1, 1), label=np.arange(4.0), params=fewest)
    holder = lightgbm.Booster({**fewest, **about}, rows)
    try:
        yield Peers(member.of, member.gather)
    finally:
        holder.free_network()
