"""Approximate search with FAISS, in the order and with the scores of exact search."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from funnel.allow import Allow
from funnel.errors import BundleError, DataError
from funnel.index import parameters
from funnel.index.auto import cost, ladders, recall, tune
from funnel.index.checks import at_least_one, checked_allow, checked_queries, finite, plain
from funnel.index.config import IndexConfig, IndexInfo
from funnel.index.exact import exact_search, nothing, padded
from funnel.index.files import info_for
from funnel.index.filtered import filtered, least_margin
from funnel.index.kernel import best_of
from funnel.index.shards import Shards, check_shards, ranges, spec_of
from funnel.index.walk import InvertedLists
from funnel.types import Float32, Int32
from funnel.vectors import ItemVectors

log = logging.getLogger(__name__)

_SAMPLE = 500


class FaissIndex:
    """An index of vectors [n, d], which are held beside it, in whatever form, and never copied.

    FAISS decides which rows come back; their scores and order are computed here from the vectors, as exact
    search computes them. A search with a filter is exact. "Flat" is exact search and holds nothing of FAISS.
    Made by `build` or `load`.
    """

    def __init__(
        self, shards: Shards | None, vectors: ItemVectors, info: IndexInfo, lists: InvertedLists | None = None
    ) -> None:
        self._shards = shards
        self._saved_lists = lists
        self._vectors = vectors
        self._names = () if shards is None else parameters.names(shards.first)
        self._refines_itself = shards is not None and parameters.refines_itself(shards.first)
        self.info = info

    @property
    def size(self) -> int:
        """The number of items, n."""
        return len(self._vectors)

    @property
    def spec(self) -> str:
        """The factory string; never "auto"."""
        return self.info.spec

    @classmethod
    def build(
        cls,
        vectors: ItemVectors | Float32,
        config: IndexConfig,
        sample_queries: Float32,
        *,
        seed: int = 0,
        towers_fingerprint: str = "",
        threads: int = 1,
        filled: Path | None = None,
    ) -> FaissIndex:
        """Build, and choose the search parameters by the recall that they have on the sample queries.

        sample_queries: float32 [S, d]; of more than 500 a seeded sample is taken. The same arguments give the
        same index, byte for byte, whatever `threads`. filled: the folder with the shards, where
        `funnel.index.shards.fill_shard` has filled them all; they are filled here else.

        Raises: DataError when vectors are not finite or when there is no query to measure with; ConfigError
        when the spec is none, does not fit the vectors, has more shards than they are, or lacks one of
        `config.params`.
        """
        held = finite(plain(vectors))
        queries = _sample(checked_queries(sample_queries, held.shape[1]), seed)
        untuned = cls.untuned(
            held, config, seed=seed, towers_fingerprint=towers_fingerprint, threads=threads, filled=filled
        )
        fixed = parameters.checked(config.params, untuned._names, untuned.spec)
        if not untuned._names:
            return untuned
        if len(queries) == 0:
            raise DataError(
                f"index {untuned.spec!r} needs sample queries to measure its recall with; got none"
            )
        wanted, _ = exact_search(held, queries, untuned.info.recall_k, threads=threads)
        built = untuned.tuned(queries, wanted, config.recall, fixed, threads)
        if built.info.recall < config.recall:
            log.warning(
                "index %s reaches recall@%d %.4f, not %.4f",
                built.spec,
                built.info.recall_k,
                built.info.recall,
                config.recall,
            )
        margin = least_margin(held.stored, built._lists, queries, wanted, config.recall)
        # The lists are made by now; else the first request with a filter would make them again.
        return cls(built._shards, held, built.info.model_copy(update={"margin": margin}), built._lists)

    @classmethod
    def untuned(
        cls,
        vectors: ItemVectors | Float32,
        config: IndexConfig,
        *,
        seed: int = 0,
        towers_fingerprint: str = "",
        threads: int = 1,
        filled: Path | None = None,
    ) -> FaissIndex:
        """The structure over finite vectors [n, d], before its search parameters are chosen; `tuned` does."""
        held = plain(vectors)
        n, d = held.shape
        check_shards(n, config.shards)
        info = IndexInfo(
            spec=spec_of(config, held),
            shards=config.shards,
            size=n,
            dimension=d,
            params={},
            recall=1.0,
            recall_k=max(1, min(config.k, n)),
            recall_goal=config.recall,
            sample_queries=0,
            seed=seed,
            faiss=faiss.__version__,
            towers_fingerprint=towers_fingerprint,
        )
        if info.spec == "Flat":
            return cls(None, held, info)
        if filled is not None:
            return cls(Shards.load(filled, info, mmap=False), held, info)
        return cls(Shards.built(info.spec, held, info.shards, seed, threads), held, info)

    def tuned(
        self, queries: Float32, wanted: Int32, goal: float, fixed: Mapping[str, int], threads: int = 1
    ) -> FaissIndex:
        """The same index with the search parameters of least work, by count, at a recall of `goal`.

        wanted: int32 [B, k], what exact search returns for the queries. fixed: parameters that stay.
        """
        k = wanted.shape[1]
        sizes = self.size, self._n_lists, k
        params, reached = tune(
            lambda params: recall(self.search(queries, k, params=params, threads=threads)[0], wanted),
            ladders(self._names, fixed, *sizes),
            lambda params: cost(params, *sizes),
            goal,
        )
        changes = {"params": params, "recall": reached, "recall_goal": goal, "sample_queries": len(queries)}
        return FaissIndex(self._shards, self._vectors, self.info.model_copy(update=changes))

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of its search parameters."""
        return self._names

    @property
    def bytes(self) -> int:
        """What it takes beside the vectors; the size of its files, which are not written for this."""
        return 0 if self._shards is None else self._shards.bytes

    def search(
        self,
        queries: Float32,
        k: int,
        *,
        allow: Allow | None = None,
        params: Mapping[str, int] | None = None,
        threads: int = 1,
    ) -> tuple[Int32, Float32]:
        """See `Index.search`. Parameters that are not given are those that the build chose."""
        chosen = self.info.params
        if params:
            chosen = {**chosen, **parameters.checked(params, self._names, self.spec)}
        if self._shards is None:
            return exact_search(self._vectors, queries, k, allow=allow, threads=threads, parts=self._ranges)
        queries = checked_queries(queries, self._vectors.shape[1])
        k, threads = at_least_one("k", k), at_least_one("threads", threads)
        if len(queries) == 0:
            return nothing(0, k)
        if allow is not None:
            allow = checked_allow(allow, len(queries), self.size)
            read = 0 if self._lists is None else self._lists.rows_read(chosen["nprobe"])
            return filtered(
                self._vectors.stored, self._lists, queries, k, allow, read, self.info.margin, threads=threads
            )
        kept = min(k, self.size)
        rows = self._candidates(queries, kept, chosen, threads)
        return padded(*best_of(queries, self._vectors.stored, rows, kept), k)

    @property
    def _held(self) -> Shards:
        assert self._shards is not None, "exact search has no part in this"
        return self._shards

    @property
    def _n_lists(self) -> int:
        return parameters.lists(self._held.first)

    @cached_property
    def _ranges(self) -> list[tuple[int, int]]:
        return ranges(self.size, self.info.shards)

    @cached_property
    def _lists(self) -> InvertedLists | None:
        """Made when they are first needed, which reads every vector once, unless they were saved."""
        return self._saved_lists or InvertedLists.of(list(self._held.parts), self._vectors.stored)

    def _candidates(self, queries: Float32, k: int, params: Mapping[str, int], threads: int) -> Int32:
        """The rows that FAISS returns for a search of k: int32 [B, ≥ k], negative where it found fewer."""
        more = 1 if self._refines_itself else params.get("k_factor", 1)
        nested = self._usual if params is self.info.params else self._held.nested(params)
        return self._held.candidates(queries, min(self.size, k * more), nested, threads)

    @cached_property
    def _usual(self) -> list[Any]:
        """The search parameters that the build chose, as FAISS takes them: made once, and only read."""
        return self._held.nested(self.info.params)

    def save(self, folder: Path) -> None:
        """index.json and, unless the spec is "Flat", a file a shard and the lists that filters walk; not the
        vectors. The folder is made."""
        folder.mkdir(parents=True, exist_ok=True)
        if self._shards is not None:
            self._shards.save(folder)
            if self._lists is not None:
                self._lists.save(folder)
        (folder / "index.json").write_text(self.info.as_json())

    @classmethod
    def load(
        cls,
        folder: Path,
        vectors: ItemVectors | Float32,
        *,
        towers_fingerprint: str | None = None,
        mmap: bool = True,
    ) -> FaissIndex:
        """An index that was saved, over the vectors [n, d] that it was built from; they may be a memory map.

        mmap: map the files of the index instead of reading them: their pages are then shared between
        processes and read when first used. (FAISS maps whole vectors, graphs and the codes of unpacked lists;
        it reads 4-bit codes.)
        towers_fingerprint: of the towers in use; None accepts any.

        Raises: BundleError when the index is damaged, is of other towers, or is not of these vectors.
        """
        held = plain(vectors)
        info = info_for(folder, held.shape, towers_fingerprint)
        shards = None if info.spec == "Flat" else Shards.load(folder, info, mmap)
        loaded = cls(shards, held, info, InvertedLists.load(folder, *held.shape))
        if set(info.params) != set(loaded._names):
            raise BundleError(
                f"{folder / 'index.json'}: parameters {sorted(info.params)}; an index {info.spec!r} has "
                f"{sorted(loaded._names)}"
            )
        return loaded


def _sample(queries: Float32, seed: int) -> Float32:
    """At most 500 of the queries, in their order."""
    if len(queries) <= _SAMPLE:
        return queries
    return queries[np.sort(np.random.default_rng(seed).permutation(len(queries))[:_SAMPLE])]
