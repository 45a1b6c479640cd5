"""A BERT encoder (Devlin et al. 2019) with mean pooling as an ONNX graph, made from a file of weights.

The graph reads texts of equal length without padding, so that it needs no mask.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from funnel.features.text.safetensors import read_safetensors

_OPSET, _IR = 20, 10


def bert(weights: Path, config: Mapping[str, Any]) -> bytes:
    """The serialised graph: `tokens` int64 [b, n], [CLS] first and [SEP] last, to `vectors` float32 [b, d] of
    length 1.

    weights: a .safetensors file, named as Hugging Face's BertModel. config: of the same model.
    Raises: FunnelError for a damaged file.
    """
    graph = _Graph(read_safetensors(weights), config["num_attention_heads"], config["layer_norm_eps"])
    x = graph.embedded()
    for layer in range(config["num_hidden_layers"]):
        x = graph.layer(x, f"encoder.layer.{layer}.")
    return graph.finish(x)


class _Graph:
    """Nodes and constants, in the order in which they are added."""

    def __init__(self, weights: Mapping[str, NDArray[Any]], heads: int, epsilon: float) -> None:
        self._weights, self._epsilon = weights, epsilon
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        d = self._d = weights["embeddings.word_embeddings.weight"].shape[1]
        self._constant("split", np.array([0, 0, heads, d // heads]))
        self._constant("join", np.array([0, 0, d]))
        self._constant("scale", np.float32((d // heads) ** -0.5))
        self._constant("zero", np.array([0]))
        self._constant("one", np.array([1]))

    def embedded(self) -> str:
        """Word pieces, their places and the one kind of segment, added and normalised."""
        positions = self._weights["embeddings.position_embeddings.weight"]
        segment = self._weights["embeddings.token_type_embeddings.weight"][0]
        self._constant("positions", positions + segment)
        length = self._node("Gather", self._node("Shape", "tokens"), "one")
        words = self._node("Gather", self._weight("embeddings.word_embeddings.weight"), "tokens")
        x = self._node("Add", words, self._node("Slice", "positions", "zero", length))
        return self._norm(x, "embeddings.LayerNorm")

    def layer(self, x: str, at: str) -> str:
        """Attention, then the wide layer, each added to what it read and normalised."""
        attended = self._linear(self._attention(x, at), f"{at}attention.output.dense")
        x = self._norm(self._node("Add", x, attended), f"{at}attention.output.LayerNorm")
        wide = self._node("Gelu", self._linear(x, f"{at}intermediate.dense"))
        return self._norm(
            self._node("Add", x, self._linear(wide, f"{at}output.dense")), f"{at}output.LayerNorm"
        )

    def finish(self, x: str) -> bytes:
        """The mean over the word pieces, of length 1."""
        mean = self._node("ReduceMean", x, "one", keepdims=0)
        self._nodes.append(helper.make_node("LpNormalization", [mean], ["vectors"], axis=-1, p=2))
        tokens = helper.make_tensor_value_info("tokens", TensorProto.INT64, ["b", "n"])
        vectors = helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["b", self._d])
        graph = helper.make_graph(self._nodes, "bert", [tokens], [vectors], self._constants)
        opsets = [helper.make_opsetid("", _OPSET)]
        whole: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=_IR).SerializeToString()
        return whole

    def _attention(self, x: str, at: str) -> str:
        query, key, value = (
            self._node("Reshape", self._linear(x, f"{at}attention.self.{name}"), "split")
            for name in ("query", "key", "value")
        )
        query, value = (self._node("Transpose", part, perm=[0, 2, 1, 3]) for part in (query, value))
        products = self._node("MatMul", query, self._node("Transpose", key, perm=[0, 2, 3, 1]))
        shares = self._node("Softmax", self._node("Mul", products, "scale"), axis=-1)
        read = self._node("Transpose", self._node("MatMul", shares, value), perm=[0, 2, 1, 3])
        return self._node("Reshape", read, "join")

    def _linear(self, x: str, name: str) -> str:
        self._constant(f"{name}.turned", self._weights[f"{name}.weight"].T)
        return self._node("Add", self._node("MatMul", x, f"{name}.turned"), self._weight(f"{name}.bias"))

    def _norm(self, x: str, name: str) -> str:
        parts = self._weight(f"{name}.weight"), self._weight(f"{name}.bias")
        return self._node("LayerNormalization", x, *parts, epsilon=self._epsilon)

    def _weight(self, name: str) -> str:
        self._constant(name, self._weights[name])
        return name

    def _constant(self, name: str, value: Any) -> None:
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))

    def _node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        out = f"x{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [out], **attributes))
        return out
