"""Makes logged answers again offline: from the bundle's files and the state's log, in another process."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from funnel.artifacts.store import Store
from funnel.errors import BundleError
from funnel.impressions.files import answers_folder
from funnel.impressions.reader import read
from funnel.impressions.record import Impression
from funnel.monitoring.counting import Remade
from funnel.monitoring.reference import SecondOverlay
from funnel.monitoring.remaking import remake
from funnel.serving.live import Live
from funnel.serving.loaded import Loaded


@dataclass(frozen=True)
class ReplayFigures:
    """same, different: answers that came out again to the last bit, and that did not. unknown: those of which
    nobody can tell, since the state's log does not know any more what was in them: such as those that do not
    come out again where it has dropped events of a user, of whom it keeps the newest. gone: those of bundles
    that are not in the store. examples: ids of some that are different."""

    same: int
    different: int
    unknown: int
    gone: int
    examples: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)


def replayed(store: Path | str, hours: float, now: float | None = None) -> ReplayFigures:
    """All answers of the last hours that were logged with what makes them again.

    Raises: BundleError where the state cannot be read, or the store has no bundle.
    """
    since = (time.time() if now is None else now) - 3600 * hours
    by_version: dict[str, list[Impression]] = defaultdict(list)
    for impression in read(answers_folder(store), since):
        if impression.request:
            by_version[impression.version].append(impression)
    remade, gone = list[Remade](), 0
    live = Live(store, impressions=False)
    try:
        for version, some in by_version.items():
            of_version = _of_version(live, version, some)
            remade += of_version or []
            gone += len(some) if of_version is None else 0
    finally:
        live.close()
    return _summed(remade, gone)


def _of_version(live: Live, version: str, some: Iterable[Impression]) -> list[Remade] | None:
    """None where the store does not have the bundle any more."""
    try:
        loaded = Loaded.load(Store(live.folder), version)
    except BundleError:
        return None
    reference = SecondOverlay(loaded, live.state)
    remade = remake(reference, some)
    if not reference.has_gaps:
        return remade
    return [answer if answer.equal else answer._replace(equal=None) for answer in remade]


def _summed(remade: list[Remade], gone: int) -> ReplayFigures:
    different = [answer.impression.id for answer in remade if answer.equal is False]
    same = sum(answer.equal is True for answer in remade)
    return ReplayFigures(
        same, len(different), len(remade) - same - len(different), gone, tuple(different[:10])
    )
