"""The towers as ONNX graphs, and the proof that they say what torch says."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from funnel.features.encoders import Spec
from funnel.towers.inputs import context_name, input_name
from funnel.towers.training.layers import Attention, Distance, FixedDistance, Pool
from funnel.towers.training.model import ItemTower, QueryTower
from funnel.types import Float32

#: Understood by every ONNX Runtime that the project supports; has Gelu and LayerNormalization as one node
#: each.
OPSET = 20


class _Last(nn.Module):
    """Only the query after the whole history; columns in the order of the specs."""

    def __init__(self, query: QueryTower) -> None:
        super().__init__()
        self.query = query

    def forward(
        self,
        history: Tensor,
        lengths: Tensor,
        gaps: Tensor | None,
        user: list[Tensor],
        context: list[Tensor],
    ) -> Tensor:
        out: Tensor = self.query(history, gaps, user, lengths, context)
        return out


def query_graph(
    query: QueryTower, d: int, specs: Mapping[str, Spec], context_specs: Mapping[str, Spec] | None = None
) -> bytes:
    """A graph with free batch size B and history length L >= 1, the same bytes each time.

    Inputs: history float32 [B, L, d], right-padded; lengths int64 [B]; gaps int64 [B, L] where the tower
    reads them; user columns as encoded, named by `input_name`, and those of the context by `context_name`.
    Output: query float32 [B, d].
    """
    moment = context_specs or {}
    # Sizes that are unlike each other, since the exporter takes equal ones for the same.
    b, length = 3, 7
    gaps = torch.zeros(b, length, dtype=torch.int64) if query.reads_gaps else None
    args = (
        torch.zeros(b, length, d),
        torch.tensor([length, 2, 0]),
        gaps,
        [_example(s, b) for s in specs.values()],
        [_example(s, b) for s in moment.values()],
    )
    batch, long = torch.export.Dim("B"), torch.export.Dim("L")
    shapes = (
        {0: batch, 1: long},
        {0: batch},
        gaps if gaps is None else {0: batch, 1: long},
        [{0: batch}] * len(specs),
        [{0: batch}] * len(moment),
    )
    columns = [*map(input_name, specs), *map(context_name, moment)]
    names = ["history", "lengths", *(["gaps"] if gaps is not None else []), *columns]
    with _quiet():
        program = torch.onnx.export(
            _Last(_fixed(query)).eval(),
            args,
            dynamo=True,
            input_names=names,
            output_names=["query"],
            dynamic_shapes=shapes,
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    return _stripped(program.model_proto)


def _fixed(query: QueryTower) -> QueryTower:
    """A copy that looks its distances up: put together for every query they are a quarter of its work."""
    copied = copy.deepcopy(query)
    for module in list(copied.modules()):
        if isinstance(module, Attention | Pool) and isinstance(module.distance, Distance):
            module.distance = FixedDistance(module.distance)
    return copied


class _Unseen(nn.Module):
    """Items without a training event, by their columns; `n` only says how many."""

    def __init__(self, items: ItemTower) -> None:
        super().__init__()
        self.shared = nn.Parameter(items.ids[:1].detach().clone())
        self.columns, self.normalize = items.columns, items.normalize

    def forward(self, n: Tensor, columns: list[Tensor]) -> Tensor:
        vectors = F.embedding(n, self.shared)
        if self.columns is not None:
            vectors = vectors + self.columns(columns)
        return F.normalize(vectors, dim=-1) if self.normalize else vectors


def item_graph(items: ItemTower, specs: Mapping[str, Spec]) -> bytes:
    """A graph with free batch size, the same bytes each time.

    Inputs: n int64 [B], zeros; item columns as encoded, named by `input_name`. Output: float32 [B, d].
    """
    b = 3
    args = (torch.zeros(b, dtype=torch.int64), [_example(s, b) for s in specs.values()])
    batch = torch.export.Dim("B")
    with _quiet():
        program = torch.onnx.export(
            _Unseen(items).eval(),
            args,
            dynamo=True,
            input_names=["n", *map(input_name, specs)],
            output_names=["vectors"],
            dynamic_shapes=({0: batch}, [{0: batch}] * len(specs)),
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    return _stripped(program.model_proto)


def _example(spec: Spec, b: int) -> Tensor:
    if spec.kind == "category":
        return torch.zeros(b, dtype=torch.int32)
    dtype = torch.int32 if spec.kind == "multi_category" else torch.float32
    return torch.zeros(b, spec.width, dtype=dtype)


def _stripped(model: onnx.ModelProto) -> bytes:
    """Without what differs between machines: stack traces, versions, the shapes of inner values."""
    model.producer_name, model.producer_version, model.doc_string = "funnel", "", ""
    del model.metadata_props[:]
    del model.graph.value_info[:]
    model.graph.doc_string = ""
    del model.graph.metadata_props[:]
    for part in (*model.graph.node, *model.graph.initializer, *model.graph.input, *model.graph.output):
        part.doc_string = ""
        del part.metadata_props[:]
    return bytes(model.SerializeToString(deterministic=True))


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter reports on packages that are none of our concern."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def difference(reference: Float32, other: Float32) -> float:
    """The largest difference, as a share of the largest number in the reference."""
    largest = max(float(np.abs(reference).max(initial=0)), 1e-12)
    return float(np.abs(reference - other).max(initial=0)) / largest
