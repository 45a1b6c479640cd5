"""A text model for tests: how often each of a few letters is in a text. Loaded, it can be named `letters`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

import funnel
from funnel.errors import FunnelError
from funnel.types import Float32

LETTERS = "aeiourst"


@funnel.register("text", "letters")
class Letters:
    """Counts what it encodes, in all its instances."""

    size = len(LETTERS)
    version = "1"
    there: ClassVar[bool] = True
    encoded: ClassVar[list[str]] = []

    def __init__(self) -> None:
        if not self.there:
            raise FunnelError('the text encoder letters needs an alphabet: pip install "funnel-rank[text]"')

    def encode(self, texts: Sequence[str]) -> Float32:
        self.encoded.extend(texts)
        counts = [[text.lower().count(letter) for letter in LETTERS] for text in texts]
        return np.array(counts, dtype=np.float32).reshape(len(texts), self.size)
