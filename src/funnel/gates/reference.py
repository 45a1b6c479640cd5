"""What a new bundle is compared with: the bundle that is served now; nothing where nothing ever was.

A gate that cannot measure fails. Where the served bundle cannot be read, comparing with another one says
little: that may be worse than what people get. So the gate `reference` fails then, and the other gates
compare with the newest bundle before it that can be read, for whoever decides.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass

from funnel.artifacts import Store
from funnel.artifacts.history import served as line_of
from funnel.errors import BundleError
from funnel.gates.findings import Finding, could_not_look
from funnel.gates.judged import Judged

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reference:
    """served: the version that is published, None where it is not known or there is none. judged: what
    the new bundle is compared with. finding: why that is not what is served; None where it is."""

    served: str | None
    judged: Judged | None = None
    finding: Finding | None = None


def reference(store: Store, version: str) -> Reference:
    """For a version that is to be published. The served version itself is compared with nothing."""
    try:
        served = store.current()
    except BundleError as error:
        if not store.was_used():
            return Reference(None)
        return _instead(store, version, None, f"what is served is not known ({error})")
    if served == version:
        return Reference(served)
    try:
        return Reference(served, Judged.load(store, served, serving=True))
    except BundleError as error:
        return _instead(store, version, served, f"{served}, which is served, cannot be read ({error})")


def _instead(store: Store, version: str, served: str | None, why: str) -> Reference:
    """The newest bundle before it that can be read, and a gate that fails."""
    other = next(_readable(store, {version, served}), None)
    if other is None:
        reason = f"{why}, and no bundle that was served before it can be; nothing was compared"
    else:
        name = other.manifest.version
        again = f"publish {name} --force" if served is None else "rollback"
        reason = (
            f"{why}; compared with {name}, which was published before: `funnel {again}` serves that again"
        )
    log.warning(reason)
    return Reference(served, other, could_not_look("reference", reason))


def _readable(store: Store, but: set[str | None]) -> Iterator[Judged]:
    for version in reversed(line_of(store.recorded())):
        if version not in but and (store.folder / version).is_dir():
            try:
                yield Judged.load(store, version, serving=True)
            except BundleError as error:
                log.warning("not compared with: %s", error)
