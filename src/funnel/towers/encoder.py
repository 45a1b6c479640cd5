"""Requests to queries without torch: the exported query tower in ONNX Runtime."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from funnel.errors import BundleError
from funnel.features.encoders import Spec
from funnel.features.runtime import OnnxSession
from funnel.towers.config import TowersConfig
from funnel.towers.inputs import column_of, context_name, histories, input_name
from funnel.types import Clock, Float32, Requests
from funnel.vectors import ItemVectors

#: Numbers that are held at once for histories, or for the values of a column: 1 MiB of float32, of which the
#: layers make several times as many, and which a core's cache holds.
CHUNK = 1 << 18


@dataclass(frozen=True)
class QueryEncoder:
    """The query tower of one trained version, and the item vectors that it reads and is compared with.

    item_vectors: [n_items, d], memory-mapped; rows are read as float32. fingerprint: names the towers; an
    index that was built from other towers must not be searched with these queries. context_specs: of what it
    reads that is known at the moment of a request. kinds: the kinds of events that it tells apart in a
    history, in the order of their codes.
    """

    fingerprint: str
    config: TowersConfig
    clock: Clock
    item_specs: Mapping[str, Spec]
    user_specs: Mapping[str, Spec]
    item_vectors: ItemVectors
    _session: OnnxSession = field(repr=False)
    context_specs: Mapping[str, Spec] = field(default_factory=dict)
    kinds: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "item_vectors", ItemVectors.of(self.item_vectors))

    @classmethod
    def load(cls, folder: Path, threads: int = 1) -> QueryEncoder:
        """An exported version's folder. threads: of ONNX Runtime, for one call.

        Raises: BundleError when a file is missing or damaged.
        """
        try:
            about = json.loads((folder / "towers.json").read_text())
            config = TowersConfig.model_validate(about["config"])
            vectors = ItemVectors.load(folder / "item_vectors.npy", config.d)
            graph = (folder / "query_tower.onnx").read_bytes()
            session = OnnxSession(lambda: graph, threads)
            return cls(
                fingerprint=about["fingerprint"],
                config=config,
                clock=about["clock"],
                item_specs=read_specs(about["item_specs"]),
                user_specs=read_specs(about["user_specs"]),
                item_vectors=vectors,
                _session=session,
                context_specs=read_specs(about.get("context_specs", {})),
                kinds=tuple(about.get("kinds", ())),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BundleError(
                f"{folder}: no towers can be read from here; train them again with this version: {error}"
            ) from error

    def encode(self, requests: Requests) -> Float32:
        """Queries: float32 [B, d].

        History rows below zero are dropped, of the rest the last `config.reads(clock)` are read. A user
        column, or one of the context, that is not given is missing for everyone. An empty history, and a user
        never seen, are normal.
        """
        reads, wide = self._most
        n = len(requests.users)
        if n * max(reads, wide) * self.config.d <= CHUNK:
            return self._encode(requests)
        longest = max(wide, min(reads, int(requests.history.lengths.max(initial=1))))
        if n * longest * self.config.d <= CHUNK:
            return self._encode(requests)
        # Requests of about the same length together, so that little is computed for padding.
        order = np.argsort(requests.history.lengths, kind="stable")
        size = max(1, CHUNK // (longest * self.config.d))
        out = np.empty((n, self.config.d), dtype=np.float32)
        for at in range(0, len(order), size):
            rows = order[at : at + size]
            out[rows] = self._encode(requests.take(rows))
        return out

    @cached_property
    def _most(self) -> tuple[int, int]:
        """The items of a history that are read, at most, and the numbers that the widest column has."""
        specs = (*self.user_specs.values(), *self.context_specs.values())
        return self.config.reads(self.clock), max((spec.width for spec in specs), default=1)

    @cached_property
    def _inputs(self) -> tuple[list[tuple[str, str, Spec]], list[tuple[str, str, Spec]]]:
        """The graph's inputs that are columns of users, and of the moment: each with the column's name and
        form."""
        return (
            [(input_name(name), name, spec) for name, spec in self.user_specs.items()],
            [(context_name(name), name, spec) for name, spec in self.context_specs.items()],
        )

    def _encode(self, requests: Requests) -> Float32:
        padded, n = (
            histories(requests, self._most[0], self.clock, kinds=bool(self.kinds)),
            len(requests.users),
        )
        feed = {"history": self.item_vectors[padded.items], "lengths": padded.lengths}
        if self.clock == "time" or self.kinds:
            feed["gaps"] = padded.gaps
        for names, features in zip(self._inputs, (requests.user_features, requests.context), strict=True):
            for of, name, spec in names:
                feed[of] = column_of(features, name, spec, n)
        queries: Float32 = self._session.run(None, feed)[0]
        return queries


def read_specs(raw: Mapping[str, Mapping[str, Any]]) -> dict[str, Spec]:
    """Specs from towers.json."""
    return {name: Spec(**spec) for name, spec in raw.items()}
