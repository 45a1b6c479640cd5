"""Graphs of towers say what torch says, whatever the towers are made of: their weights are random."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from funnel.features.encoders import Spec
from funnel.features.runtime import OnnxSession
from funnel.towers.config import TowersConfig
from funnel.towers.inputs import GAPS, context_name, input_name
from funnel.towers.training.graph import item_graph, query_graph
from funnel.towers.training.item_tower import ItemTower
from funnel.towers.training.model import QueryTower
from funnel.types import Clock

SPECS = {
    "shop": Spec("category", 5, 1),
    "tags": Spec("multi_category", 7, 3),
    "price": Spec("number", 0, 2),
    "words": Spec("vector", 0, 4),
}
D, HISTORY, KINDS = 16, 12, 2
Columns = dict[str, np.ndarray[Any, Any]]


def random_weights(module: Any) -> Any:
    """Far from how weights are at the start, where much is zero and cannot be seen."""
    torch.manual_seed(0)
    with torch.no_grad():
        for weights in module.parameters():
            weights += 0.5 * torch.randn_like(weights)
    return module.eval()


def some(specs: Mapping[str, Spec], n: int, rng: np.random.Generator) -> Columns:
    def column(spec: Spec) -> np.ndarray[Any, Any]:
        if spec.kind in {"number", "vector"}:
            return rng.normal(size=(n, spec.width)).astype(np.float32)
        size = (n,) if spec.kind == "category" else (n, spec.width)
        return rng.integers(spec.size, size=size).astype(np.int32)

    return {name: column(spec) for name, spec in specs.items()}


def as_tensors(columns: Columns) -> list[torch.Tensor]:
    return [torch.from_numpy(values) for values in columns.values()]


@pytest.mark.parametrize("clock", ["time", "order", "none"])
@pytest.mark.parametrize(
    ("options", "user", "context", "kinds"),
    [
        ({"layers": 1, "heads": 1}, {}, {}, 0),
        ({"layers": 3, "heads": 4}, SPECS, SPECS, KINDS),
        ({"layers": 2, "heads": 2, "normalize": False}, SPECS, {}, KINDS),
        ({"layers": 2, "heads": 2, "encoder": "pooled"}, {}, SPECS, 0),
        ({"layers": 1, "heads": 1, "encoder": "pooled"}, SPECS, {}, KINDS),
    ],
)
def test_a_query_graph(
    options: dict[str, Any], user: dict[str, Spec], context: dict[str, Spec], kinds: int, clock: Clock
) -> None:
    config = TowersConfig(d=D, history=HISTORY, **options)
    query = random_weights(QueryTower(config, user, clock, context, kinds))
    raw = query_graph(query, D, user, context)
    onnx.checker.check_model(onnx.load_from_string(raw), full_check=True)
    assert raw == query_graph(query, D, user, context)
    session, rng = OnnxSession(lambda: raw, 1), np.random.default_rng(1)
    for b, length in ((1, 1), (4, HISTORY), (3, 5)):
        history = rng.normal(size=(b, length, D)).astype(np.float32)
        lengths = rng.integers(length + 1, size=b)
        gaps = rng.integers(GAPS * ((1 + kinds) if query.kinds is not None else 1), size=(b, length))
        users, moments = some(user, b, rng), some(context, b, rng)
        with torch.no_grad():
            arguments = (torch.from_numpy(values) for values in (history, gaps))
            known = as_tensors(users), torch.from_numpy(lengths), as_tensors(moments)
            want = query(*arguments, *known).numpy()
        feed = {"history": history, "lengths": lengths}
        feed |= {"gaps": gaps} if query.reads_gaps else {}
        feed |= {input_name(name): values for name, values in users.items()}
        feed |= {context_name(name): values for name, values in moments.items()}
        np.testing.assert_allclose(session.run(None, feed)[0], want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("specs", [{}, SPECS])
def test_an_item_graph(specs: dict[str, Spec], normalize: bool) -> None:
    """Of items that nobody has met: the first of the ids' vectors stands for theirs."""
    config = TowersConfig(d=D, normalize=normalize)
    items = random_weights(ItemTower(config, specs, np.zeros(9, dtype=np.bool_)))
    raw = item_graph(items, specs)
    onnx.checker.check_model(onnx.load_from_string(raw), full_check=True)
    columns = some(specs, 9, np.random.default_rng(2))
    with torch.no_grad():
        want = items(torch.arange(9), as_tensors(columns)).numpy()
    feed = {"n": np.zeros(9, dtype=np.int64)} | {input_name(name): values for name, values in columns.items()}
    np.testing.assert_allclose(OnnxSession(lambda: raw, 1).run(None, feed)[0], want, rtol=1e-5, atol=1e-5)
