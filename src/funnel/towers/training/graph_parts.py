"""The layers of the towers as nodes of an ONNX graph: what each `forward` in `layers` does when it serves."""

from __future__ import annotations

from functools import reduce

import numpy as np
import torch
from onnx import TensorProto
from torch import Tensor, nn

from funnel.features.graphs import Graph
from funnel.towers.training.layers import Attention, ColumnSum, Distance, FeedForward, Pool
from funnel.types import Float32

#: Below it a length counts as this, as in `F.normalize`.
_SHORTEST = 1e-12


def numbers(weights: Tensor) -> Float32:
    """Weights as an array."""
    values: Float32 = weights.detach().numpy()
    return values


def columns(graph: Graph, name: str, of: ColumnSum, inputs: list[str]) -> str:
    """The sum of what each column says: [B, d]. inputs: the columns, in the order of the specs."""
    parts = [
        _column(graph, kind, graph.constant(f"{name}.{i}", numbers(table)), column)
        for i, (kind, table, column) in enumerate(zip(of.kinds, of.tables, inputs, strict=True))
    ]
    return reduce(lambda total, part: graph.node("Add", total, part), parts)


def _column(graph: Graph, kind: str, table: str, column: str) -> str:
    if kind == "category":
        return graph.node("Gather", table, column)
    if kind == "multi_category":
        return _mean_of_known(graph, table, column)
    return graph.node("MatMul", column, table)


def _mean_of_known(graph: Graph, table: str, codes: str) -> str:
    """The mean of the vectors of the codes above 0, as `mean_embedding`."""
    none = graph.constant("none", np.array(0, dtype=np.int32))
    there = graph.node("Cast", graph.node("Greater", codes, none), to=TensorProto.FLOAT)
    vectors = graph.node("Gather", table, codes)
    vectors = graph.node("Mul", vectors, graph.node("Unsqueeze", there, graph.whole(-1)))
    total = graph.node("ReduceSum", vectors, graph.whole(1), keepdims=0)
    count = graph.node("ReduceSum", there, graph.whole(1), keepdims=1)
    return graph.node("Div", total, graph.node("Max", count, graph.scalar(1.0)))


def wide(graph: Graph, name: str, of: nn.Module, x: str) -> str:
    """A `FeedForward`, or several one after the other: [B, ..., d] to the same."""
    if isinstance(of, nn.Sequential):
        return reduce(lambda x, part: wide(graph, f"{name}.{part[0]}", part[1], x), of.named_children(), x)
    assert isinstance(of, FeedForward)
    inner = linear(graph, f"{name}.wide", of.wide, norm(graph, f"{name}.norm", of.norm, x))
    return graph.node("Add", x, linear(graph, f"{name}.narrow", of.narrow, graph.node("Gelu", inner)))


def mix(graph: Graph, name: str, of: nn.Module, x: str, *, at_end: bool) -> str:
    """An `Attention` or a `Pool` over [B, n, d]: [B, n, d], or with `at_end` only the position in `lengths`:
    [B, d]."""
    if isinstance(of, Pool):
        assert at_end, "means are only there at the end of a history"
        return _pool(graph, name, of, x)
    assert isinstance(of, Attention)
    return _attention(graph, name, of, x, at_end=at_end)


def _pool(graph: Graph, name: str, of: Pool, x: str) -> str:
    weights = graph.node("Softmax", _bias_at_end(graph, name, of.distance, x), axis=-1)
    means = graph.node("Reshape", graph.node("MatMul", weights, x), graph.whole(0, of.out.in_features))
    return linear(graph, f"{name}.out", of.out, means)


def _attention(graph: Graph, name: str, of: Attention, x: str, *, at_end: bool) -> str:
    heads, size = of.heads, of.query.out_features // of.heads
    normed = norm(graph, f"{name}.norm", of.norm, x)
    both = _heads(graph, linear(graph, f"{name}.key_value", of.key_value, normed), heads, 2 * size)
    key, value = graph.nodes("Split", 2, both, axis=3, num_outputs=2)
    if at_end:
        x, normed = (_unsqueezed(graph, _at_end(graph, part)) for part in (x, normed))
        bias = graph.node("Unsqueeze", _bias_at_end(graph, name, of.distance, both, 2), graph.whole(2))
    else:
        bias = _bias(graph, name, of.distance, both)
    query = _heads(graph, linear(graph, f"{name}.query", of.query, normed), heads, size)
    query = graph.node("Mul", query, graph.scalar(size**-0.5))
    products = graph.node("MatMul", query, graph.node("Transpose", key, perm=[0, 1, 3, 2]))
    weights = graph.node("Softmax", graph.node("Add", products, bias), axis=-1)
    mixed = graph.node("Transpose", graph.node("MatMul", weights, value), perm=[0, 2, 1, 3])
    mixed = graph.node("Reshape", mixed, graph.whole(0, 0, heads * size))
    out = graph.node("Add", x, linear(graph, f"{name}.out", of.out, mixed))
    return graph.node("Squeeze", out, graph.whole(1)) if at_end else out


def _heads(graph: Graph, x: str, heads: int, size: int) -> str:
    """[B, n, heads * size] -> [B, heads, n, size]."""
    return graph.node(
        "Transpose", graph.node("Reshape", x, graph.whole(0, 0, heads, size)), perm=[0, 2, 1, 3]
    )


def _bias(graph: Graph, name: str, distance: Distance, x: str) -> str:
    """What a trained distance adds, written out once and cut to the n positions of [B, heads, n, c]:
    [heads, n, n]."""
    bias = graph.constant(f"{name}.distance", _written_out(distance))
    n = graph.node("Shape", x, start=2, end=3)
    ends = graph.node("Concat", n, n, axis=0)
    return graph.node("Slice", bias, graph.whole(0, 0), ends, graph.whole(1, 2))


def _bias_at_end(graph: Graph, name: str, distance: Distance, x: str, dimension: int = 1) -> str:
    """Of the position in `lengths` alone: [B, heads, n]. dimension: of x, which has n positions."""
    rows = graph.constant(f"{name}.asked", _written_out(distance).swapaxes(0, 1))
    bias = graph.node("Gather", rows, "lengths")
    n = graph.node("Shape", x, start=dimension, end=dimension + 1)
    return graph.node("Slice", bias, graph.whole(0), n, graph.whole(2))


def _written_out(distance: Distance) -> Float32:
    """Of the longest history. A query that put it together would do a quarter more work."""
    with torch.no_grad():
        return numbers(distance(len(distance.mask)))


def _at_end(graph: Graph, x: str) -> str:
    """The position in `lengths` of each list: [B, n, d] -> [B, d]."""
    return graph.node("GatherND", x, _unsqueezed(graph, "lengths"), batch_dims=1)


def _unsqueezed(graph: Graph, x: str) -> str:
    return graph.node("Unsqueeze", x, graph.whole(1))


def norm(graph: Graph, name: str, of: nn.LayerNorm, x: str) -> str:
    """Layer normalisation over the last dimension."""
    return graph.norm(x, name, numbers(of.weight), numbers(of.bias), of.eps)


def linear(graph: Graph, name: str, of: nn.Module, x: str) -> str:
    """A linear map of the last dimension."""
    assert isinstance(of, nn.Linear)
    return graph.linear(x, name, numbers(of.weight), None if of.bias is None else numbers(of.bias))


def normalized(graph: Graph, x: str) -> str:
    """Vectors of length 1."""
    length = graph.node("ReduceL2", x, graph.whole(-1), keepdims=1)
    return graph.node("Div", x, graph.node("Max", length, graph.scalar(_SHORTEST)))
