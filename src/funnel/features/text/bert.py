"""A BERT encoder (Devlin et al. 2019) with mean pooling as an ONNX graph, made from a file of weights.

The graph reads texts of equal length without padding, so that it needs no mask.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from funnel.features.graphs import Graph
from funnel.features.text.safetensors import read_safetensors


def bert(weights: Path, config: Mapping[str, Any]) -> bytes:
    """The serialised graph: `tokens` int64 [b, n], [CLS] first and [SEP] last, to `vectors` float32 [b, d] of
    length 1.

    weights: a .safetensors file, named as Hugging Face's BertModel. config: of the same model.
    Raises: FunnelError for a damaged file.
    """
    graph = _Bert(read_safetensors(weights), config["num_attention_heads"], config["layer_norm_eps"])
    x = graph.embedded()
    for layer in range(config["num_hidden_layers"]):
        x = graph.layer(x, f"encoder.layer.{layer}.")
    return graph.whole_graph(x)


class _Bert(Graph):
    """The graph of a model's weights. heads: of attention; epsilon: of its norms."""

    def __init__(self, weights: Mapping[str, NDArray[Any]], heads: int, epsilon: float) -> None:
        super().__init__()
        self._weights, self._heads, self._epsilon = weights, heads, epsilon
        self._d = weights["embeddings.word_embeddings.weight"].shape[1]

    def embedded(self) -> str:
        """Word pieces, their positions and the one kind of segment, added and normalised."""
        positions = self._weights["embeddings.position_embeddings.weight"]
        segment = self._weights["embeddings.token_type_embeddings.weight"][0]
        at = self.constant("positions", positions + segment)
        length = self.node("Gather", self.node("Shape", "tokens"), self.whole(1))
        words = self.node("Gather", self._weight("embeddings.word_embeddings.weight"), "tokens")
        x = self.node("Add", words, self.node("Slice", at, self.whole(0), length))
        return self._norm(x, "embeddings.LayerNorm")

    def layer(self, x: str, at: str) -> str:
        """Attention, then the wide layer, each added to what it read and normalised."""
        attended = self._linear(self._attention(x, at), f"{at}attention.output.dense")
        x = self._norm(self.node("Add", x, attended), f"{at}attention.output.LayerNorm")
        wide = self.node("Gelu", self._linear(x, f"{at}intermediate.dense"))
        return self._norm(
            self.node("Add", x, self._linear(wide, f"{at}output.dense")), f"{at}output.LayerNorm"
        )

    def whole_graph(self, x: str) -> bytes:
        """The mean over the word pieces, of length 1."""
        mean = self.node("ReduceMean", x, self.whole(1), keepdims=0)
        self.node("LpNormalization", mean, axis=-1, p=2)
        return self.finish({"tokens": ("int64", ["b", "n"])}, ("vectors", ["b", self._d]))

    def _attention(self, x: str, at: str) -> str:
        split = self.whole(0, 0, self._heads, self._d // self._heads)
        query, key, value = (
            self.node("Reshape", self._linear(x, f"{at}attention.self.{name}"), split)
            for name in ("query", "key", "value")
        )
        query, value = (self.node("Transpose", part, perm=[0, 2, 1, 3]) for part in (query, value))
        products = self.node("MatMul", query, self.node("Transpose", key, perm=[0, 2, 3, 1]))
        scaled = self.node("Mul", products, self.scalar((self._d // self._heads) ** -0.5))
        shares = self.node("Softmax", scaled, axis=-1)
        read = self.node("Transpose", self.node("MatMul", shares, value), perm=[0, 2, 1, 3])
        return self.node("Reshape", read, self.whole(0, 0, self._d))

    def _linear(self, x: str, name: str) -> str:
        return self.linear(x, name, self._weights[f"{name}.weight"], self._weights[f"{name}.bias"])

    def _norm(self, x: str, name: str) -> str:
        weight, bias = self._weights[f"{name}.weight"], self._weights[f"{name}.bias"]
        return self.norm(x, name, weight, bias, self._epsilon)

    def _weight(self, name: str) -> str:
        return self.constant(name, self._weights[name])
