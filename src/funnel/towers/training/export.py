"""A trained version as files that serve without torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funnel.errors import FunnelError
from funnel.features.encoders import Spec
from funnel.towers.encoder import QueryEncoder
from funnel.towers.items import GRAPH
from funnel.towers.training.graph import difference, item_graph, query_graph
from funnel.towers.training.trained import Trained, diverged
from funnel.types import Requests
from funnel.values.texts import ids_bytes, save_ids

#: The exported tower may differ from torch by this share of a query's largest number.
TOLERANCE = 1e-4

#: Requests that both towers are compared on.
COMPARED = 256


def export(
    trained: Trained, folder: Path, *, item_ids: NDArray[Any], user_ids: NDArray[Any], requests: Requests
) -> str:
    """Write a version's files into an empty folder; returns the towers' fingerprint.

    query_tower.onnx; item_tower.onnx, for items without events; item_vectors.npy float32 [n_items, d];
    item_ids.npy, the catalogue; user_vectors.npy float32 [B, d] and user_ids.npy [B], the queries of
    `requests` and whose they are (see `funnel.values.texts.load_ids`); towers.json: config, clock, specs,
    fingerprint, epochs.

    Raises: FunnelError when ONNX and torch disagree on the requests, vectors are not finite, or ids do not
    fit them.
    """
    if len(item_ids) != len(trained.item_vectors) or len(user_ids) != len(requests):
        raise FunnelError(
            f"{len(item_ids)} item ids for {len(trained.item_vectors)} vectors, "
            f"{len(user_ids)} user ids for {len(requests)} requests; each must be as many"
        )
    if not np.isfinite(trained.item_vectors).all():
        raise diverged(trained.config, "vectors of items are")
    fingerprint = _write(trained, folder, item_ids)
    encoder = QueryEncoder.load(folder)
    _compare(trained, encoder, requests)
    np.save(folder / "user_vectors.npy", encoder.encode(requests))
    save_ids(folder / "user_ids.npy", user_ids)
    return fingerprint


def _write(trained: Trained, folder: Path, item_ids: NDArray[Any]) -> str:
    """Everything but the users. Returns the fingerprint: sha256 of the config, specs, graph and vectors."""
    graph = query_graph(trained.model.query, trained.config.d, trained.user_specs, trained.context_specs)
    items = item_graph(trained.model.items, trained.item_specs)
    about: dict[str, Any] = {
        "config": trained.config.model_dump(mode="json"),
        "clock": trained.clock,
        "item_specs": _plain(trained.item_specs),
        "user_specs": _plain(trained.user_specs),
    }
    if trained.context_specs:
        about["context_specs"] = _plain(trained.context_specs)
    if trained.kinds:
        about["kinds"] = trained.kinds
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    digest.update(graph)
    digest.update(items)
    digest.update(trained.item_vectors.tobytes())
    digest.update(ids_bytes(item_ids))
    about["fingerprint"] = digest.hexdigest()
    about["best_epoch"] = trained.best
    about["validation"] = {"ndcg@100": [epoch.validation for epoch in trained.epochs]}
    (folder / "query_tower.onnx").write_bytes(graph)
    (folder / GRAPH).write_bytes(items)
    np.save(folder / "item_vectors.npy", trained.item_vectors)
    save_ids(folder / "item_ids.npy", item_ids)
    (folder / "towers.json").write_text(json.dumps(about, indent=1, sort_keys=True) + "\n")
    return str(about["fingerprint"])


def _various(spec: Spec, n: int) -> NDArray[Any]:
    """n values of a column, of all that it can have."""
    rng = np.random.default_rng(0)
    if spec.kind.endswith("category"):
        shape = (n,) if spec.kind == "category" else (n, spec.width)
        return rng.integers(spec.size, size=shape, dtype=np.int32)
    return rng.normal(size=(n, spec.width)).astype(np.float32)


def _plain(specs: Mapping[str, Spec]) -> dict[str, dict[str, Any]]:
    return {name: asdict(spec) for name, spec in specs.items()}


def _compare(trained: Trained, encoder: QueryEncoder, requests: Requests) -> None:
    """Raises: FunnelError when the exported tower says something else than torch."""
    some = requests.take(np.unique(np.linspace(0, len(requests) - 1, COMPARED).astype(np.int64)))
    context = {name: _various(spec, len(some)) for name, spec in trained.context_specs.items()}
    some = replace(some, context=context)
    queries = trained.encode(some)
    if not np.isfinite(queries).all():
        raise diverged(trained.config, "queries are")
    apart = difference(queries, encoder.encode(some))
    if not apart <= TOLERANCE:
        raise FunnelError(
            f"the exported query tower differs from torch by {apart:.2g}, more than {TOLERANCE:g}"
        )
