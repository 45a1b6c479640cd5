"""torch-rechub's SASRec on a log, for a time: `python rechub_sasrec.py LOG.npz OPTIONS.json`; prints JSON.

Its own trainer with the pairwise loss, the one that its SASRec is written for (with in-batch negatives that
model raises an AttributeError in this version). Runs in the peers' environment; imports nothing of funnel.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset
from torch_rechub.basic.features import SequenceFeature
from torch_rechub.models.matching import SASRec
from torch_rechub.trainers import MatchTrainer


class Sequences(Dataset):
    """One sample a user: the items, each one's successor and an item drawn at random; 0 = padding."""

    def __init__(self, lists: list[np.ndarray], history: int, n_items: int, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.lists, self.history, self.n_items = [own for own in lists if len(own) > 1], history, n_items

    def __len__(self) -> int:
        return len(self.lists)

    def __getitem__(self, i: int):
        own = self.lists[i][-self.history - 1 :]
        drawn = self.rng.integers(1, self.n_items + 1, len(own) - 1)
        parts = {"seq": own[:-1], "pos": own[1:], "neg": drawn}
        return {name: padded(part, self.history) for name, part in parts.items()}, 0.0


class Flat(SASRec):
    """Scores of all places in one row: the trainer's loss takes no other shape."""

    def forward(self, x):
        out = super().forward(x)
        return out if self.mode == "user" else tuple(scores.reshape(-1) for scores in out)


def padded(items: np.ndarray, history: int) -> np.ndarray:
    out = np.zeros(history, dtype=np.int64)
    items = items[-history:]
    out[: len(items)] = items
    return out


class Enough(Exception):
    """The time is up."""


class UntilThen:
    """A loader that stops in the middle of an epoch, and counts."""

    def __init__(self, loader: DataLoader, seconds: float) -> None:
        self.loader, self.limit = loader, seconds
        self.positions, self.began, self.ended = 0, 0.0, 0.0

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self):
        self.began = self.began or time.perf_counter()
        for x, y in self.loader:
            yield x, y
            self.positions += int((x["pos"] != 0).sum())
            self.ended = time.perf_counter()
            if self.ended - self.began > self.limit:
                raise Enough


def main() -> None:
    log, options = np.load(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text())
    torch.set_num_threads(options["threads"])
    torch.manual_seed(options["seed"])
    d, history = options["d"], options["history"]
    order = np.argsort(log["users"], kind="stable")
    counts = np.bincount(log["users"], minlength=int(log["n_users"]))
    lists = np.split(log["items"][order].astype(np.int64) + 1, np.cumsum(counts)[:-1])
    size = int(log["n_items"]) + 1
    names = ("seq", "pos", "neg")
    features = [
        SequenceFeature(n, size, embed_dim=d, pooling="concat", shared_with=None if n == "seq" else "seq")
        for n in names
    ]
    model = Flat(features, history, options["dropout"], options["layers"], options["heads"])
    sequences = max(1, round(options["batch"] * int((counts > 0).sum()) / len(log["items"])))
    loader = DataLoader(Sequences(lists, history, size - 1, options["seed"]), sequences, shuffle=True)
    trainer = MatchTrainer(
        model, mode=1, n_epoch=1000, optimizer_params={"lr": options["lr"]}, device=options["device"]
    )
    timed = UntilThen(loader, options["seconds"])
    try:
        while True:
            trainer.train_one_epoch(timed)
    except Enough:
        pass
    model.cpu().eval()
    model.mode = "user"
    vectors = model.item_emb.embed_dict["seq"].weight.detach()
    places = []
    with torch.no_grad():
        for at in range(0, len(log["asking"]), 512):
            asking, targets = log["asking"][at : at + 512], log["targets"][at : at + 512] + 1
            seen = [lists[user] for user in asking]
            query = model({"seq": torch.from_numpy(np.stack([padded(own, history) for own in seen]))})
            scores = query @ vectors.T
            scores[:, 0] = -torch.inf
            for row, own in enumerate(seen):
                scores[row, own] = -torch.inf
            own = scores[torch.arange(len(asking)), torch.from_numpy(targets.astype(np.int64))]
            places.append((scores > own[:, None]).sum(1).numpy())
    place = np.concatenate(places)
    ndcg = float(np.where(place < 10, 1 / np.log2(place + 2), 0).mean())
    print(json.dumps({"positions": timed.positions, "seconds": timed.ended - timed.began, "ndcg@10": ndcg}))


main()
