"""How an index is to be built, and the description of one that was."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from funnel.settings import Settings
from funnel.vectors import Form

#: Search parameters are below this: a queue of so many is as slow as reading everything.
MOST = 1 << 24
#: And shards, whose number is in the names of their files.
MOST_SHARDS = 10_000


class IndexConfig(Settings):
    """How an index is to be built."""

    spec: str = Field("auto", description="FAISS factory string, or auto: chosen from the catalogue's size")
    recall: float = Field(0.98, gt=0, le=1, description="share of the exact search's items to be found")
    k: int = Field(500, ge=1, lt=2**31, description="the number of items at which that share is measured")
    vectors: Form = Field(
        "float32", description="how item vectors are kept and read: float32, float16 or int8 (a quarter)"
    )
    shards: int = Field(
        1, ge=1, le=MOST_SHARDS, description="ranges of items, each with an index of its own, searched as one"
    )
    params: dict[str, Annotated[int, Field(ge=1, le=MOST)]] = Field(
        default_factory=dict, description="search parameters (nprobe, efSearch, k_factor); others are tuned"
    )


class IndexInfo(Settings):
    """The content of index.json.

    shards: ranges of items with an index of their own, see `funnel.index.shards`. params: go with every
    search that does not give its own. recall: the share of exact search's first `recall_k` items that was
    found, by item id, averaged over `sample_queries` queries. margin: how far the walk of a search with a
    filter goes, see `funnel.index.walk`; the least with which a walk that everything passes finds
    `recall_goal`. faiss: the version that built it.
    """

    format_version: Literal[1] = 1
    spec: str
    shards: int = Field(1, ge=1, le=MOST_SHARDS)
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

    def as_json(self) -> str:
        """The content of the file. One shard is not mentioned, as when there was no other number."""
        return self.model_dump_json(indent=1, exclude={"shards"} if self.shards == 1 else None) + "\n"
