"""RecTools' SASRec on a log, for a time: `python rectools_sasrec.py LOG.npz OPTIONS.json`; prints JSON.

Runs in the peers' environment; imports nothing of funnel.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from pytorch_lightning import Callback, Trainer, seed_everything
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import SASRecModel


class Count(Callback):
    """Positions that were trained, and when training began and ended; of the class, for copies are made."""

    positions = 0
    began = ended = 0.0

    def on_train_start(self, trainer, module):
        Count.began = time.perf_counter()

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        Count.positions += int((batch["y"] != 0).sum())
        Count.ended = time.perf_counter()


def main() -> None:
    log, options = np.load(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text())
    torch.set_num_threads(options["threads"])
    seed_everything(options["seed"])
    place = np.arange(len(log["users"]))
    frame = pd.DataFrame(
        {
            Columns.User: log["users"], Columns.Item: log["items"], Columns.Weight: 1.0,
            Columns.Datetime: pd.Timestamp("2020-01-01") + pd.to_timedelta(place, unit="s"),
        }
    )  # fmt: skip
    sequences = max(1, round(options["batch"] * len(np.unique(log["users"])) / len(frame)))
    model = SASRecModel(
        n_factors=options["d"], n_blocks=options["layers"], n_heads=options["heads"],
        session_max_len=options["history"], dropout_rate=options["dropout"], lr=options["lr"],
        batch_size=sequences, loss="softmax", recommend_torch_device=options["device"],
        get_trainer_func=lambda: Trainer(
            max_time=timedelta(seconds=options["seconds"]), max_epochs=1000, logger=False,
            accelerator={"cpu": "cpu", "cuda": "gpu"}[options["device"]],
            enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
            callbacks=[Count()],
        ),
    )  # fmt: skip
    dataset = Dataset.construct(frame)
    model.fit(dataset)
    known = np.isin(log["asking"], dataset.user_id_map.external_ids)
    asked = model.recommend(log["asking"][known], dataset, k=10, filter_viewed=True)
    target = pd.Series(log["targets"], index=log["asking"])
    hits = asked[asked[Columns.Item].to_numpy() == target.reindex(asked[Columns.User]).to_numpy()]
    ndcg = float((1 / np.log2(1 + hits[Columns.Rank])).sum() / len(target))
    print(json.dumps({"positions": Count.positions, "seconds": Count.ended - Count.began, "ndcg@10": ndcg}))


main()
