"""Golden answers: requests whose right lists are kept in the bundle, asked again while it serves.

Two ways are asked. The bundle's own contents, without what changed since, must give the lists of the build,
but for the few that the gate `parity` lets pass. What is served must give the lists of a second overlay, made
of the bundle and of all changes of items: so changes explain what they explain, and no more.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from funnel.bundle.contents import Contents
from funnel.bundle.holdout import Holdout
from funnel.bundle.standing_filter import requests_under
from funnel.monitoring.alarm import Alarm
from funnel.types import Bool, Int32, Requests

#: Share of lists that may differ from the build, as the gate `parity` has it; looks that are taken together.
_MAY, _LOOKS = 0.01, 5

#: Share of lists that must differ to be an alarm.
_ALARM = 0.05


class GoldenLook(NamedTuple):
    """One look. n: requests. build: lists of the bundle's own contents that are not those of the build.
    served: lists that are served and that changes do not explain."""

    n: int
    build: int
    served: int


class Golden:
    """The holdout of one bundle. most: requests that are asked for in turn, drawn with the seed."""

    def __init__(self, holdout: Holdout, seed: int, most: int = 500) -> None:
        rows = np.random.default_rng(seed).permutation(len(holdout.examples))[:most]
        self._requests, self._lists = holdout.examples.requests, np.asarray(holdout.answers)
        self._rows, self._next = np.sort(rows), 0
        self._looks: deque[GoldenLook] = deque(maxlen=_LOOKS)
        self._begun: float | None = None

    def look(self, own: Contents, served: Contents, reference: Contents | None, n: int) -> GoldenLook:
        """Ask the next n. own: the bundle's. served: as served. reference: the bundle with all changes that
        are in what is served; None where they are not the same just now."""
        rows = self._rows[(self._next + np.arange(min(n, len(self._rows)))) % max(len(self._rows), 1)]
        self._next = (self._next + len(rows)) % max(len(self._rows), 1)
        if not len(rows):
            return GoldenLook(0, 0, 0)
        requests = self._requests.take(rows)
        build = ~equal(lists(own, requests), self._lists[rows])
        wrong = np.zeros(len(rows), dtype=np.bool_)
        if reference is not None:
            wrong = ~equal(lists(served, requests), lists(reference, requests))
        result = GoldenLook(len(rows), int(build.sum()), int(wrong.sum()))
        self._looks.append(result)
        return result

    def alarms(self, now: float, version: str) -> list[Alarm]:
        """What the last looks come to."""
        n = sum(look.n for look in self._looks)
        alarms = []
        for subject, wrong in (
            ("build", sum(look.build for look in self._looks)),
            ("served", sum(look.served for look in self._looks)),
        ):
            if wrong >= 2 and wrong > _ALARM * n:
                self._begun = now if self._begun is None else self._begun
                alarms.append(_alarm(now, self._begun, version, subject, (wrong, n)))
        if not alarms:
            self._begun = None
        return alarms


def lists(contents: Contents, requests: Requests) -> Int32:
    """What is answered: item rows, int32 [B, k], −1 = empty; no deleted items, as for any request."""
    if contents.retrieve.where is None:
        requests = replace(requests, allow=contents.catalogue.living(len(requests)))
    return contents.funnel()(requests_under(contents, requests)).items


def equal(some: Int32, others: Int32) -> Bool:
    """Which lists are the same: bool [B]; the shorter are filled with −1."""
    width = max(some.shape[1], others.shape[1])
    padded = [np.pad(x, ((0, 0), (0, width - x.shape[1])), constant_values=-1) for x in (some, others)]
    return np.asarray((padded[0] == padded[1]).all(axis=1))


def _alarm(now: float, since: float, version: str, subject: str, seen: tuple[int, int]) -> Alarm:
    wrong, n = seen
    from scipy.stats import binom  # half a second, for what hardly ever is

    chance = max(float(binom.sf(wrong - 1, n, _MAY)), 1e-300)
    what = "the build's" if subject == "build" else "those of the bundle with its changes"
    sentence = f"{wrong} of {n} answers of {version} to its holdout are not {what}"
    return Alarm("golden", subject, since, now, chance, sentence, "", wrong / n, _MAY)
