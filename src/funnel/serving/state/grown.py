"""A bundle's contents with changed items in them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from funnel.bundle.contents import Contents
from funnel.features import Statistics
from funnel.index import ChangingIndex, FaissIndex, Index, IndexConfig
from funnel.serving.request import of_users
from funnel.serving.state.catalogue import ChangedCatalogue
from funnel.serving.state.delta import Delta, spread
from funnel.serving.state.ids import GrownIds
from funnel.types import Float32

#: Queries that a new index is tuned with.
_QUERIES = 500


@dataclass(frozen=True, eq=False)
class Base:
    """The index that a delta is searched beside. stamp: the last change that is in it."""

    index: Index
    stamp: int = 0


def grown(own: Contents, statistics: Statistics, ids: GrownIds, delta: Delta, base: Base) -> Contents:
    """The contents that answer: a function of the bundle's own and of the changes, whatever their order was.

    statistics: as they are now. Costs a copy of the vectors and of the encoded columns; nothing that `own` or
    an earlier result holds is touched.
    """
    n = len(ids)
    vectors: Float32 = spread(own.vectors, delta.vectors, delta.rows, n)  # type: ignore[assignment]
    features = {
        name: spread(values, delta.features[name], delta.rows, n)
        for name, values in own.catalogue.features.items()
    }
    catalogue = ChangedCatalogue(
        ids=ids,
        frame=own.catalogue.frame,
        features=features,
        encoder=own.catalogue.encoder,
        own=own.catalogue,
        delta=delta,
    ).ready()
    fresh = (delta.stamps > base.stamp) | (delta.rows >= base.index.size)
    inside = delta.rows < base.index.size
    index = ChangingIndex(
        base.index,
        vectors,
        delta.rows[inside & (fresh | ~delta.alive)],
        delta.rows[fresh & delta.alive],
        catalogue.living_bits,
    )
    return replace(
        own,
        catalogue=catalogue,
        encoder=replace(own.encoder, item_vectors=vectors),
        index=index,
        statistics=statistics if statistics.n_items == n else statistics.grown(n),
        own=own,
    )


def rebuilt(contents: Contents, seed: int) -> FaissIndex:
    """An index of the same kind over the vectors as they are now, tuned to the recall that the first one had
    as its goal. Rows of deleted items are in it, and stay hidden: rows keep their numbers."""
    assert contents.own is not None
    info = contents.own.index.info  # type: ignore[attr-defined]
    n = len(contents.users.ids)
    some = np.sort(np.random.default_rng(seed).permutation(n)[:_QUERIES])
    return FaissIndex.build(
        contents.vectors,
        IndexConfig(spec=info.spec, k=info.recall_k, recall=info.recall_goal),
        contents.encoder.encode(of_users(contents, some)),
        seed=seed,
        towers_fingerprint=info.towers_fingerprint,
    )
