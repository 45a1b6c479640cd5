"""Train the towers and keep them in the embeddings store."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np

from funnel.bundle import Store
from funnel.errors import FunnelError
from funnel.pipeline.prepare import Prepared
from funnel.types import Requests

log = logging.getLogger(__name__)


def train_towers(prepared: Prepared, embeddings: Store, *, progress: bool = False) -> Path:
    """The trained towers' folder in the embeddings store; trained only if equal inputs were not before.

    Raises: FunnelError naming the extra when torch is not installed.
    """
    inputs = _inputs(prepared)
    for kept in embeddings.versions():
        if kept.config == inputs:
            log.info("towers %s were trained on the same inputs: kept", kept.version)
            embeddings.verify(kept.version)
            return embeddings.path(kept.version)
    try:
        from funnel.towers.export import export
        from funnel.towers.train import train
    except ModuleNotFoundError as missing:
        raise FunnelError(f'training needs {missing.name}: pip install "funnel-rank[train]"') from missing
    config, data = prepared.config, prepared.dataset
    trained = train(
        prepared.split.train,
        prepared.item_features,
        prepared.item_encoder.specs,
        prepared.user_features,
        prepared.user_encoder.specs,
        prepared.split.ranker,
        config.towers,
        seed=config.seed,
        progress=progress,
    )
    with embeddings.writing(config.name) as draft:
        asked = _everyone(prepared)
        export(trained, draft.folder, item_ids=data.item_ids, user_ids=data.user_ids, requests=asked)
        draft.describe(config=inputs, seed=config.seed, data_checksum=data.checksum())
    return embeddings.path(draft.version)


def _inputs(prepared: Prepared) -> dict[str, Any]:
    """What decides the towers: equal inputs need no second training."""
    config = prepared.config
    sections = config.model_dump(mode="json", include={"seed", "data", "split", "towers"})
    return {**sections, "checksum": prepared.dataset.checksum()}


def _everyone(prepared: Prepared) -> Requests:
    """Every user at the end of the training window: whose vectors are exported."""
    train = prepared.split.train
    history, times = train.by_user()
    now = int(train.times.max()) + 1 if train.clock == "time" else 0
    return Requests(
        users=np.arange(train.n_users, dtype=np.int32),
        times=np.full(train.n_users, now, dtype=np.int64),
        history=history,
        history_times=times,
        user_features=prepared.user_features,
    )
