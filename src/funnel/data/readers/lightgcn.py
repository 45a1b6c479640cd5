"""Sets of items with a published split: train.txt and test.txt, `user item item …` a line.

X. He et al., "LightGCN: Simplifying and Powering Graph Convolution Network for Recommendation", SIGIR 2020.
There is no clock and no order: time is 0, and the column `split` says "train" or "test". Ids only.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from funnel.data.dataset import Dataset
from funnel.data.readers.int_lists import read_int_lists
from funnel.data.readers.parsing import require
from funnel.data.schema import Schema
from funnel.distinct import distinct
from funnel.plugins import register


@register("reader", "lightgcn")
def read_lightgcn(path: str | Path) -> Dataset:
    """The split in the folder `path`. A user's line may hold no item: the user is known all the same.

    Raises DataError for a missing file, and for a line that is not whole numbers.
    """
    folder = Path(path)
    require(folder, "train.txt", "test.txt")
    parts, people = [], []
    for split in ("train", "test"):
        users, items = read_int_lists(folder / f"{split}.txt")
        people.append(users)
        part = pd.DataFrame({"user_id": np.repeat(users, items.lengths), "item_id": items.values})
        parts.append(part.assign(split=split))
    events = pd.concat(parts, ignore_index=True)
    users_table = pd.DataFrame({"user_id": distinct(np.concatenate(people))})
    return Dataset.from_frames(Schema(), events, users_table, clock="none", name=folder.resolve().name)
