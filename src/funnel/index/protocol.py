"""What every index offers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from funnel.allow import Allow
from funnel.types import Float32, Int32


class Index(Protocol):
    """Items as vectors, searched by inner product."""

    @property
    def size(self) -> int:
        """The number of items, n."""

    @property
    def spec(self) -> str:
        """What kind of index it is, in FAISS's factory language; "Flat" is exact."""

    def search(
        self,
        queries: Float32,
        k: int,
        *,
        allow: Allow | None = None,
        params: Mapping[str, int] | None = None,
        threads: int = 1,
    ) -> tuple[Int32, Float32]:
        """The k best items of each query: rows int32 [B, k] and inner products float32 [B, k].

        Descending, ties by row; where there are fewer than k, padded with −1 and −inf.
        queries: float32 [B, d]. allow: the items that may be returned for each query; k of them are,
        wherever k pass.
        params: search parameters of this call alone. threads: at most this many work on the call.

        Raises: FunnelError when the queries are not finite or of another dimension, or when k < 1;
        ConfigError when `params` names one that this kind of index does not have.
        """
