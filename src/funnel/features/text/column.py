"""The encoder of a text column whose schema names a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

import funnel.features.text.minilm  # noqa: F401 - registers it
from funnel.errors import BundleError
from funnel.features.spec import Spec
from funnel.features.text.cache import TextCache, cache_folder
from funnel.features.text.model import TextModel, checked, text_model
from funnel.types import Float32


@dataclass(frozen=True)
class TextEncoder:
    """Texts as vectors of a model; zeros for a missing or an empty one.

    model: its name. version: of the model that it was fitted with. size: of a vector.
    """

    model: str
    version: str
    size: int

    @classmethod
    def fit(cls, model: str) -> TextEncoder:
        """Nothing is learned of the texts. Raises: FunnelError where the model is not there."""
        loaded = text_model(model)
        return cls(model, loaded.version, loaded.size)

    @property
    def spec(self) -> Spec:
        """See `Spec`."""
        return Spec("vector", self.size, self.size)

    def encode(self, values: Sequence[Any]) -> Float32:
        """float32 [n, size].

        Raises: FunnelError where the model is not installed, BundleError where it is another than that of the
        other vectors.
        """
        out = np.zeros((len(values), self.size), dtype=np.float32)
        rows = [row for row, value in enumerate(values) if isinstance(value, str) and value.strip()]
        if rows:
            out[rows] = self._cache.vectors([values[row] for row in rows], self._encoded)
        return out

    def check(self) -> None:
        """Raises: as `encode` would for a new text."""
        self._model  # noqa: B018 - made at first use

    def _encoded(self, texts: list[str]) -> Float32:
        return checked(self.model, self._model.encode(texts), (len(texts), self.size))

    @cached_property
    def _cache(self) -> TextCache:
        return TextCache(cache_folder(), (self.model, self.version), self.size)

    @cached_property
    def _model(self) -> TextModel:
        loaded = text_model(self.model)
        if (loaded.version, loaded.size) != (self.version, self.size):
            raise BundleError(
                f"the texts here were encoded by {self.model} {self.version} in {self.size} numbers, and "
                f"{loaded.version} in {loaded.size} is installed: install that one, or build again"
            )
        return loaded
