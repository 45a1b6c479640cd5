"""What sources and stages are made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from funnel.catalogue.tables import Catalogue
from funnel.catalogue.users import Users
from funnel.features import Statistics
from funnel.index import Index
from funnel.vectors import ItemVectors

if TYPE_CHECKING:
    from funnel.stages.config import RerankConfig
    from funnel.stages.towers import EmbeddingSpace


@dataclass(frozen=True)
class Parts:
    """A bundle's parts, as a source or a stage is made from them.

    catalogue: items, whose `features` and rows are written to in place while a bundle serves; read them when
    you are called, and keep no copy. encoder, index: what makes queries, the item vectors beside them, and
    what searches these. statistics: counts of events, at any moment. rerank: options of the list that
    is shown, its `k` and `pool` as the request has them; where rules choose the list, `k` is every candidate.
    """

    catalogue: Catalogue
    users: Users
    encoder: EmbeddingSpace
    index: Index
    statistics: Statistics
    rerank: RerankConfig

    @property
    def vectors(self) -> ItemVectors:
        """Item vectors of the towers [n_items, d]; rows are read as float32."""
        return ItemVectors.of(self.encoder.item_vectors)

    @property
    def n_items(self) -> int:
        """Rows of the catalogue, now."""
        return len(self.catalogue.ids)
