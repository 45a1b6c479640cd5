"""Read a data set, split it, and encode its tables with what the training window knows."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from funnel.config import Config
from funnel.data import Dataset, Split, read, split
from funnel.features import TableEncoder
from funnel.types import Examples, Features


@dataclass(frozen=True)
class Prepared:
    """A data set, split, and encoded with what its training window knows.

    Requests of both windows carry their users' encoded columns.
    """

    config: Config
    dataset: Dataset
    split: Split
    user_encoder: TableEncoder
    item_encoder: TableEncoder
    user_features: Features
    item_features: Features


def prepare(config: Config) -> Prepared:
    """Read and split the data; fit encoders on the rows that the towers' training window meets."""
    dataset = read(config.data)
    parts = split(dataset, config.split, config.seed)
    users = dataset.users.iloc[np.unique(parts.train.users)]
    items = dataset.items.iloc[np.unique(parts.train.items)]
    user_encoder = TableEncoder.fit(dataset.schema.users, users)
    item_encoder = TableEncoder.fit(dataset.schema.items, items)
    user_features = user_encoder.encode(dataset.users)
    parts = replace(
        parts, ranker=_with_users(parts.ranker, user_features), test=_with_users(parts.test, user_features)
    )
    item_features = item_encoder.encode(dataset.items)
    return Prepared(config, dataset, parts, user_encoder, item_encoder, user_features, item_features)


def _with_users(examples: Examples, features: Features) -> Examples:
    rows = examples.requests.users
    encoded = {name: values[rows] for name, values in features.items()}
    return replace(examples, requests=replace(examples.requests, user_features=encoded))
