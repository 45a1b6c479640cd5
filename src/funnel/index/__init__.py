"""Search: the items whose vectors have the largest inner product with a query."""

from funnel.index.config import IndexConfig, IndexInfo
from funnel.index.exact import ExactIndex
from funnel.index.faiss_index import FaissIndex
from funnel.index.overlay import OverlayIndex
from funnel.index.protocol import Index
from funnel.index.specs import check_fits, check_spec

__all__ = [
    "ExactIndex",
    "FaissIndex",
    "Index",
    "IndexConfig",
    "IndexInfo",
    "OverlayIndex",
    "check_fits",
    "check_spec",
]
