"""How an index is to be built, and the description of one that was."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from funnel.settings import Settings

#: Search parameters are below this: a queue of so many is as slow as reading everything.
MOST = 1 << 24


class IndexConfig(Settings):
    """How an index is to be built."""

    spec: str = Field("auto", description="FAISS factory string, or auto: chosen from the catalogue's size")
    recall: float = Field(0.98, gt=0, le=1, description="share of the exact search's items to be found")
    k: int = Field(500, ge=1, lt=2**31, description="the number of items at which that share is measured")
    params: dict[str, Annotated[int, Field(ge=1, le=MOST)]] = Field(
        default_factory=dict, description="search parameters (nprobe, efSearch, k_factor); others are tuned"
    )


class IndexInfo(Settings):
    """The content of index.json.

    params: go with every search that does not give its own. recall: the share of exact search's first
    `recall_k` items that was found, by item id, averaged over `sample_queries` queries. margin: how far the
    walk of a search with a filter goes, see `funnel.index.walk`; the least with which a walk that everything
    passes finds `recall_goal`. faiss: the version that built it.
    """

    format_version: Literal[1] = 1
    spec: str
    metric: Literal["inner product"] = "inner product"
    size: int
    dimension: int
    params: dict[str, Annotated[int, Field(ge=1, le=MOST)]]
    recall: float
    recall_k: int
    recall_goal: float
    sample_queries: int
    margin: float = Field(3.5, ge=0, allow_inf_nan=False)
    seed: int
    faiss: str
    towers_fingerprint: str
