"""The source that searches the towers' index."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from funnel.allow import Allow, packed
from funnel.compiling import plain
from funnel.errors import ConfigError
from funnel.features.kernels import bitmaps, item_lists
from funnel.index import Index
from funnel.index.kernel import products
from funnel.plugins import register
from funnel.stages._kernels import admitted, fill
from funnel.stages.sources import Retrieved, Source, fetch_sizes
from funnel.types import Candidates, Float32, Int32, Requests
from funnel.vectors import ItemVectors

if TYPE_CHECKING:
    from funnel.stages.parts import Parts


class EmbeddingSpace(Protocol):
    """Item vectors, and requests as vectors beside them: `funnel.towers.queries.Queries` is one."""

    @property
    def item_vectors(self) -> ItemVectors | Float32:
        """[n_items, d]."""

    def encode(self, requests: Requests) -> Float32:
        """float32 [B, d]."""


@register("source", "towers")
def towers(parts: Parts) -> Source:
    """Items whose vectors are nearest to the query tower's output."""
    return TowerSource(parts.encoder, parts.index)


class TowerSource:
    """Items whose vector is nearest to the request's, by inner product.

    An index scores what it returns with the towers' own vectors, so that the order and the scores are exact
    whatever it approximates; only which items it returns is the index's.
    params: search parameters that go with each call. threads: of the index.

    Raises: ConfigError when the index holds another number of items than the encoder has vectors.
    """

    def __init__(
        self,
        encoder: EmbeddingSpace,
        index: Index,
        *,
        params: Mapping[str, int] | None = None,
        threads: int = 1,
        name: str = "towers",
    ) -> None:
        self.name = name
        self._encoder = encoder
        self._index = index
        self._vectors = ItemVectors.of(encoder.item_vectors).stored
        self._params = dict(params) if params else None
        self._threads = threads
        if index.size != len(self._vectors):
            raise ConfigError(
                f"{name}: the index holds {index.size} items, the towers have {len(self._vectors)} vectors; "
                "build the index from these vectors"
            )

    def find(self, requests: Requests, k: int) -> Retrieved:
        """See `Source.find`."""
        return self.search(requests, self.encode(requests), k)

    def encode(self, requests: Requests) -> Float32:
        """The requests' vectors: float32 [B, d]."""
        return self._encoder.encode(requests)

    def score(self, requests: Requests, items: Int32) -> Float32:
        """See `Source.score`; every item has one."""
        return self.dots(self.encode(requests), items)

    def dots(self, queries: Float32, items: Int32) -> Float32:
        """The towers' exact score of any items: float32 [B, K], −inf at negative ones."""
        return products(queries, self._vectors, *plain(items))

    def fill(self, queries: Float32, candidates: Candidates, number: int) -> None:
        """Write the exact score of what this source, the candidates' number-th, did not find, in place."""
        fill(queries, self._vectors, candidates.items, candidates.source_ranks, number,
             candidates.source_scores)  # fmt: skip

    def search(self, requests: Requests, queries: Float32, k: int) -> Retrieved:
        """As `find`, for requests that were encoded before.

        Each request fetches as many more as it excludes. Where the index comes back with fewer than k
        although it holds more (few lists probed, nearly all excluded), that request is searched as with a
        filter that everything passes: such a search is never short.
        """
        sizes = np.minimum(fetch_sizes(requests, k), self._index.size)
        if len(sizes) == 1:
            return self._group(requests, queries, k, int(sizes[0]))
        rows = np.full((len(requests), k), -1, dtype=np.int32)
        scores = np.full((len(requests), k), -np.inf, dtype=np.float32)
        for size in sorted(set(sizes.tolist())):
            group = np.flatnonzero(sizes == size)
            part = requests if len(group) == len(requests) else requests.take(group)
            rows[group], scores[group] = self._group(part, queries[group], k, size)
        return rows, scores

    def _group(self, requests: Requests, queries: Float32, k: int, size: int) -> Retrieved:
        """Requests that fetch equally many."""
        rows, scores = _admitted(requests, self._fetch(queries, size, requests.allow), k)
        if requests.allow is None and size < self._index.size:
            short = (rows[:, k - 1] < 0).nonzero()[0]
            if len(short):
                fetched = self._fetch(queries[short], size, self._everything(len(short)))
                rows[short], scores[short] = _admitted(requests.take(short), fetched, k)
        return rows, scores

    def _everything(self, batch: int) -> Allow:
        """A filter that all items pass."""
        return Allow(self._all_items, np.zeros(batch, dtype=np.int32), self._index.size)

    @cached_property
    def _all_items(self) -> NDArray[np.uint64]:
        return packed(np.ones((1, self._index.size), dtype=np.bool_))

    def _fetch(self, queries: Float32, size: int, allow: Allow | None) -> Retrieved:
        """Rows from the index, with their exact scores."""
        return self._index.search(queries, size, allow=allow, params=self._params, threads=self._threads)


def _admitted(requests: Requests, fetched: Retrieved, k: int) -> Retrieved:
    """The k best that the requests may be given."""
    excluded = item_lists(requests.exclude, len(requests.users))
    return admitted(*fetched, excluded, bitmaps(requests.allow), k)
