"""What makes a query vector of a request: the query tower, or a plugin in its place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from pydantic import Field, JsonValue, model_validator

from funnel import plugins
from funnel.plugins import register
from funnel.settings import Settings
from funnel.towers.encoder import QueryEncoder
from funnel.types import Float32, Log, Requests
from funnel.vectors import ItemVectors

#: The folder of a bundle that its encoder may keep files in.
FOLDER = "encoder"


class Towers(Protocol):
    """The towers of a bundle in use: vectors of items, and what the query tower makes of a request."""

    @property
    def item_vectors(self) -> ItemVectors:
        """[n_items, d], whose rows are read as float32: `item_vectors[rows]`; written to while a bundle
        serves, so keep no copy."""

    def encode(self, requests: Requests) -> Float32:
        """The query tower's vectors: float32 [B, d]."""


class Encoder(Protocol):
    """Makes a query vector of each request: `@register("encoder", NAME)` on what makes one of `EncoderParts`.

    What is nearest to a query by inner product, of the item tower's vectors, is what the source `towers`
    finds; so a query has as many numbers as they have.
    """

    def encode(self, requests: Requests, towers: Towers) -> Float32:
        """Queries: finite float32 [B, d], for any history, and for one of items without a row (−1).

        towers: as they are now, with items that came since the bundle was built.
        """


@dataclass(frozen=True)
class EncoderParts:
    """What an encoder is made from, at build and when a bundle is loaded.

    towers: of the bundle. folder: the encoder's own, in the bundle: what it saves there at build is there
    when it is loaded. known: what towers and encoder may learn from, when a bundle is built; None when it is
    loaded, then the folder says all.
    """

    towers: Towers
    folder: Path
    known: Log | None


class EncoderConfig(Settings):
    """What makes a query vector of a request."""

    name: str = Field("towers", description="what makes a query vector of a request: the query tower")
    options: dict[str, JsonValue] = Field({}, description="of a plugin's encoder")

    @model_validator(mode="after")
    def _is_there(self) -> Self:
        plugins.check("encoder", self.name, self.options)
        return self

    @property
    def own(self) -> bool:
        """Whether it is funnel's, which keeps no files of its own."""
        return plugins.find("encoder", self.name).own


@register("encoder", "towers")
class TowerQueries:
    """The query tower itself."""

    def __init__(self, parts: EncoderParts) -> None:
        del parts  # all that it needs is there when it is called

    def encode(self, requests: Requests, towers: Towers) -> Float32:
        """See `Encoder`."""
        return towers.encode(requests)


@dataclass(frozen=True)
class Queries:
    """Towers and an encoder as one: item vectors, and queries that are held to what they must be."""

    towers: QueryEncoder
    encoder: Encoder
    name: str

    @property
    def item_vectors(self) -> ItemVectors:
        """[n_items, d]."""
        return self.towers.item_vectors

    def encode(self, requests: Requests) -> Float32:
        """float32 [B, d]. Raises: FunnelError naming the encoder that gives something else."""
        with plugins.calling("encoder", self.name):
            queries = self.encoder.encode(requests, self.towers)
        if type(self.encoder) is not TowerQueries:
            self._check(queries, (len(requests), self.towers.config.d))
        return queries

    def _check(self, queries: Any, shape: tuple[int, int]) -> None:
        form = isinstance(queries, np.ndarray) and (queries.dtype, queries.shape)
        if form != (np.dtype(np.float32), shape):
            given = f"{queries.dtype} {list(queries.shape)}" if form else type(queries).__name__
            why = f"`encode` must give float32 {list(shape)}, {shape[1]} numbers as an item has, not {given}"
            raise plugins.refused(f"encoder {self.name!r}", why)
        if not np.isfinite(queries).all():
            raise plugins.refused(f"encoder {self.name!r}", "queries must be finite")


def fitted(config: EncoderConfig, towers: QueryEncoder, folder: Path, known: Log) -> Encoder:
    """An encoder that has learned, as it is loaded from what it saved. folder: of the bundle."""
    if not config.own:
        (folder / FOLDER).mkdir()
        _encoder_of(config, EncoderParts(towers, folder / FOLDER, known))
    return loaded(config, towers, folder)


def loaded(config: EncoderConfig, towers: QueryEncoder, folder: Path) -> Encoder:
    """The encoder of a bundle's folder."""
    return _encoder_of(config, EncoderParts(towers, folder / FOLDER, None))


def _encoder_of(config: EncoderConfig, parts: EncoderParts) -> Encoder:
    encoder: Encoder = plugins.make("encoder", config.name, parts, options=config.options)
    if not callable(getattr(encoder, "encode", None)):
        raise plugins.refused(f"encoder {config.name!r}", "an object with a method `encode` is expected")
    return encoder
