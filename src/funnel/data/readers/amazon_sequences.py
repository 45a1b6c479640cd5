"""Purchases in order, without a clock: one line a user, as SASRec and S3-Rec publish the Amazon categories.

    W.-C. Kang and J. McAuley, "Self-Attentive Sequential Recommendation", ICDM 2018.
    K. Zhou et al., "S3-Rec: Self-Supervised Learning for Sequential Recommendation", CIKM 2020.

A line is `user item item …`, oldest first; a user whose items are spread over several lines (SASRec writes
one event a line) has them in the order of the lines. `NAME_item2attributes.json` beside `NAME.txt` gives each
item's categories and brand as numbers: {"4": [1, 2, 3], …}.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from funnel.data.dataset import Dataset
from funnel.data.readers.int_lists import read_int_lists
from funnel.data.schema import Column, Schema
from funnel.distinct import distinct
from funnel.errors import DataError
from funnel.plugins import register

SCHEMA = Schema(items=(Column(name="attributes", kind="multi_category"),))
_NOT_DATA = {"SOURCE.txt", "README.txt", "LICENSE.txt"}
_ATTRIBUTES = "_item2attributes.json"


@register("reader", "amazon_sequences")
def read_amazon_sequences(path: str | Path) -> Dataset:
    """The sequences in the file `path`, or in the only such file of the folder `path`. Clock: "order".

    Raises DataError for a folder with none or several, and for a line or attribute that is wrong.
    """
    file = _sequence_file(Path(path))
    keys, lists = read_int_lists(file)
    events = pd.DataFrame({"user_id": np.repeat(keys, lists.lengths), "item_id": lists.values})
    attributes = file.with_name(file.stem + _ATTRIBUTES)
    items = _attributes(attributes) if attributes.is_file() else None
    schema = Schema() if items is None else SCHEMA
    people = pd.DataFrame({"user_id": distinct(keys)})
    return Dataset.from_frames(schema, events, people, items, clock="order", name=file.stem)


def _sequence_file(path: Path) -> Path:
    if path.is_file():
        return path
    texts = sorted(file for file in path.glob("*.txt") if file.name not in _NOT_DATA)
    with_attributes = [file for file in texts if file.with_name(file.stem + _ATTRIBUTES).is_file()]
    for candidates in (with_attributes, texts):
        if len(candidates) == 1:
            return candidates[0]
    names = ", ".join(file.name for file in texts) or "none"
    raise DataError(f"{path}: expected one file of sequences (NAME.txt), found {names}; give the file itself")


def _attributes(path: Path) -> pd.DataFrame:
    try:
        loaded = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise DataError(f"{path}, line {error.lineno}: not JSON ({error.msg})") from None
    if not isinstance(loaded, dict):
        raise DataError(f'{path}: expected {{"item": [attribute, …], …}}, found a {type(loaded).__name__}')
    for item, values in loaded.items():
        if not (item.isdecimal() and isinstance(values, list)):
            raise DataError(f'{path}: expected "item": [attribute, …], found {item!r}: {str(values)[:60]}')
    return pd.DataFrame({"item_id": [int(item) for item in loaded], "attributes": list(loaded.values())})
