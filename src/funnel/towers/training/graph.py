"""The towers as ONNX graphs, and how far they are from what torch says.

Each part of a tower is written down as the nodes that do what its `forward` does, in the same order, so that
they say the same to the last bits. A new version is compared with torch before it is kept (`export`).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from onnx import TensorProto

from funnel.features.encoders import Spec
from funnel.features.graphs import Graph, Shape
from funnel.towers.inputs import GAPS, context_name, input_name
from funnel.towers.training.graph_parts import columns, linear, mix, norm, normalized, numbers, wide
from funnel.towers.training.item_tower import ItemTower
from funnel.towers.training.model import QueryTower
from funnel.types import Float32

Inputs = dict[str, tuple[str, Shape]]


def query_graph(
    query: QueryTower, d: int, specs: Mapping[str, Spec], context_specs: Mapping[str, Spec] | None = None
) -> bytes:
    """A graph with free batch size B and history length L >= 1, the same bytes each time.

    Inputs: history float32 [B, L, d], right-padded; lengths int64 [B]; gaps int64 [B, L] where the tower
    reads them; user columns as encoded, named by `input_name`, and those of the context by `context_name`.
    Output: query float32 [B, d].
    """
    moment = context_specs or {}
    inputs: Inputs = {"history": ("float32", ["B", "L", d]), "lengths": ("int64", ["B"])}
    inputs |= {"gaps": ("int64", ["B", "L"])} if query.reads_gaps else {}
    inputs |= {input_name(name): _input(spec) for name, spec in specs.items()}
    inputs |= {context_name(name): _input(spec) for name, spec in moment.items()}
    graph = Graph()
    start = _start(graph, query, [input_name(name) for name in specs])
    x = graph.node("Concat", start, _history(graph, query), axis=1)
    read = _mean(graph, query, x) if not query.mixers else _layers(graph, query, x)
    if query.context is not None and query.mixers:
        known = columns(graph, "context", query.context, [context_name(name) for name in moment])
        joined = graph.node("Add", read, _scaled(graph, query, known))
        read = wide(graph, "joined", query.joined, joined)
    out = norm(graph, "norm", query.norm, read)
    if query.normalize:
        normalized(graph, out)
    return graph.finish(inputs, ("query", ["B", d]))


def _start(graph: Graph, query: QueryTower, names: list[str]) -> str:
    """The START tokens: [B, 1, d]."""
    start = graph.constant("start", numbers(query.start))
    if query.user is None:
        rows = graph.node("Concat", graph.node("Shape", "lengths"), graph.whole(1), axis=0)
        start = graph.node("Expand", start, rows)
    else:
        start = graph.node("Add", start, columns(graph, "user", query.user, names))
    return graph.node("Unsqueeze", start, graph.whole(1))


def _history(graph: Graph, query: QueryTower) -> str:
    """Item vectors as the layers read them: [B, L, d]."""
    x, gaps = _scaled(graph, query, "history"), "gaps"
    if query.kinds is not None:
        size = graph.constant("GAPS", np.array(GAPS, dtype=np.int64))
        kinds, gaps = graph.node("Div", gaps, size), graph.node("Mod", gaps, size)
        scale = graph.node("Gather", graph.constant("kind_scale", numbers(query.kind_scale)), kinds)
        x = graph.node("Mul", x, graph.node("Unsqueeze", scale, graph.whole(-1)))
        x = graph.node("Add", x, graph.node("Gather", graph.constant("kinds", numbers(query.kinds)), kinds))
    if query.gaps is None:
        return x
    return graph.node("Add", x, graph.node("Gather", graph.constant("gaps.table", numbers(query.gaps)), gaps))


def _mean(graph: Graph, query: QueryTower, x: str) -> str:
    """The mean of START and the items of a set, mapped: [B, d]."""
    zero, step = (graph.constant(str(i), np.array(i, dtype=np.int64)) for i in (0, 1))
    length = graph.node("Squeeze", graph.node("Shape", x, start=1, end=2))
    at = graph.node("Unsqueeze", "lengths", graph.whole(1))
    known = graph.node("LessOrEqual", graph.node("Range", zero, length, step), at)
    size = graph.node("Cast", graph.node("Add", at, step), to=TensorProto.FLOAT)
    weights = graph.node("Div", graph.node("Cast", known, to=TensorProto.FLOAT), size)
    mean = graph.node("MatMul", graph.node("Unsqueeze", weights, graph.whole(1)), x)
    return linear(graph, "wide.0", query.wide[0], graph.node("Squeeze", mean, graph.whole(1)))


def _layers(graph: Graph, query: QueryTower, read: str) -> str:
    """What the layers make of START and history after the whole of it: [B, d]."""
    x, last = read, len(query.mixers) - 1
    for i, (mixer, feed) in enumerate(zip(query.mixers, query.wide, strict=True)):
        x = wide(graph, f"wide.{i}", feed, mix(graph, f"mixers.{i}", mixer, x, at_end=i == last))
    if query.beside is None:
        return x
    return graph.node("Add", x, mix(graph, "beside", query.beside, read, at_end=True))


def _scaled(graph: Graph, query: QueryTower, x: str) -> str:
    return x if query.scale == 1 else graph.node("Mul", x, graph.scalar(query.scale))


def item_graph(items: ItemTower, specs: Mapping[str, Spec]) -> bytes:
    """The graph of items without a training event, with free batch size, the same bytes each time.

    Inputs: n int64 [B], zeros, which only says how many; item columns as encoded, named by `input_name`.
    Output: vectors float32 [B, d].
    """
    graph, d = Graph(), items.ids.shape[1]
    inputs: Inputs = {"n": ("int64", ["B"])} | {
        input_name(name): _input(spec) for name, spec in specs.items()
    }
    vectors = graph.node("Gather", graph.constant("shared", numbers(items.ids[:1])), "n")
    if items.columns is not None:
        known = columns(graph, "columns", items.columns, [input_name(name) for name in specs])
        vectors = graph.node("Add", vectors, known)
    if items.normalize:
        normalized(graph, vectors)
    return graph.finish(inputs, ("vectors", ["B", d]))


def _input(spec: Spec) -> tuple[str, Shape]:
    """dtype and shape of a column as encoded."""
    if spec.kind == "category":
        return "int32", ["B"]
    return ("int32" if spec.kind == "multi_category" else "float32"), ["B", spec.width]


def difference(reference: Float32, other: Float32) -> float:
    """The largest difference, as a share of the largest number in the reference."""
    largest = max(float(np.abs(reference).max(initial=0)), 1e-12)
    return float(np.abs(reference - other).max(initial=0)) / largest
