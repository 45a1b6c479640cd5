"""What turns texts into vectors: the model that comes with the extra `text`, or a plugin's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from funnel import plugins
from funnel.types import Float32


class TextModel(Protocol):
    """Turns texts into vectors: `@register("text", NAME)` on what makes one, called without arguments.

    A text has the same vector to the last bit whatever it is encoded with, in every process.
    """

    @property
    def size(self) -> int:
        """Numbers in a vector."""

    @property
    def version(self) -> str:
        """Changes whenever a text would get another vector; vectors are kept by it."""

    def encode(self, texts: Sequence[str]) -> Float32:
        """float32 [n, size], finite."""


def text_model(name: str) -> TextModel:
    """The model of this name. Raises: FunnelError where it is unknown, or what it needs is not installed."""
    model: TextModel = plugins.make("text", name)
    size, version = getattr(model, "size", None), getattr(model, "version", None)
    if not (isinstance(size, int) and size > 0 and isinstance(version, str) and version):
        raise plugins.refused(f"text {name!r}", "a `size` above 0 and a `version` are expected")
    return model


def checked(name: str, vectors: Any, shape: tuple[int, int]) -> Float32:
    """What a model gave. Raises: FunnelError unless it is finite float32 of this shape."""
    fits = isinstance(vectors, np.ndarray) and (vectors.dtype, vectors.shape) == (np.float32, shape)
    if not fits or not np.isfinite(vectors).all():
        raise plugins.refused(f"text {name!r}", f"finite float32 {list(shape)} are expected")
    return vectors
