"""Which versions of a store are kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from funnel.artifacts.history import History
from funnel.artifacts.store import Store
from funnel.artifacts.writing import changing, take_away


def retain(store: Store, keep: int, also: Collection[str] = ()) -> list[str]:
    """Remove all but the newest `keep` versions of each name; the versions that are gone.

    The published version, the one before it, the anchor, and those in `also` stay. Nobody publishes
    meanwhile.
    Raises: BundleError when the store cannot be written.
    """
    if len(store.versions()) <= keep:
        return []
    with changing(store.folder), History(store.folder).locked():
        safe = {store.published(), store.previous(), store.anchor(), *also}
        seen: Counter[str] = Counter()
        gone = []
        for manifest in store.versions():
            seen[manifest.name] += 1
            if seen[manifest.name] > keep and manifest.version not in safe:
                take_away(store.folder / manifest.version)
                gone.append(manifest.version)
    return gone
