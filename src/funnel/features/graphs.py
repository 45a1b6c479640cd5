"""ONNX graphs, put together node by node. Needs the package onnx, which serving does without."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

#: Understood by every ONNX Runtime that the project supports; has Gelu and LayerNormalization as one node
#: each.
_OPSET, _IR = 20, 10

_TYPES = {
    "float32": TensorProto.FLOAT,
    "int32": TensorProto.INT32,
    "int64": TensorProto.INT64,
}

#: The sizes of a value, a text for one that is free.
Shape = Sequence[int | str]


class Graph:
    """Nodes and constants, in the order in which they are added. Values are known by name."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._constants: dict[str, Any] = {}

    def constant(self, name: str, value: Any) -> str:
        """A value of any shape under its name, once however often it is named."""
        if name not in self._constants:
            self._constants[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def scalar(self, value: float) -> str:
        """A float32 without dimensions, named by itself."""
        return self._unnamed(np.array(value, dtype=np.float32), f"{value!r}")

    def whole(self, *values: int) -> str:
        """Whole numbers as int64 [n], named by themselves."""
        return self._unnamed(np.array(values, dtype=np.int64), ",".join(map(str, values)))

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """The first output of an operation on values."""
        return self.nodes(kind, 1, *inputs, **attributes)[0]

    def nodes(self, kind: str, outputs: int, *inputs: str, **attributes: Any) -> list[str]:
        """As `node`, all outputs."""
        names = [f"x{len(self._nodes)}.{i}" for i in range(outputs)]
        self._nodes.append(helper.make_node(kind, list(inputs), names, **attributes))
        return names

    def linear(self, x: str, name: str, weight: NDArray[Any], bias: NDArray[Any] | None = None) -> str:
        """x times the weight [out, in] turned, plus the bias: [..., in] -> [..., out]."""
        product = self.node("MatMul", x, self.constant(f"{name}.turned", weight.T))
        return product if bias is None else self.node("Add", product, self.constant(f"{name}.bias", bias))

    def norm(self, x: str, name: str, weight: NDArray[Any], bias: NDArray[Any], epsilon: float) -> str:
        """Layer normalisation over the last dimension."""
        parts = self.constant(f"{name}.weight", weight), self.constant(f"{name}.bias", bias)
        return self.node("LayerNormalization", x, *parts, epsilon=epsilon)

    def finish(self, inputs: Mapping[str, tuple[str, Shape]], output: tuple[str, Shape]) -> bytes:
        """The serialised graph, the same bytes each time. The last node's output is its answer.

        inputs: dtype and shape of each by name. output: name and shape of the answer, float32.
        """
        name, shape = output
        self._nodes[-1].output[0] = name
        given = [
            helper.make_tensor_value_info(of, _TYPES[dtype], list(size))
            for of, (dtype, size) in inputs.items()
        ]
        output = helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))
        graph = helper.make_graph(self._nodes, name, given, [output], list(self._constants.values()))
        opsets = [helper.make_opsetid("", _OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR, producer_name="funnel")
        return bytes(model.SerializeToString(deterministic=True))

    def _unnamed(self, value: NDArray[Any], text: str) -> str:
        return self.constant(f"{value.dtype}:{text}", value)
