"""Read a data set, split it, and encode its tables with encoders fitted on the training window."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from funnel.config import Config
from funnel.data import Dataset, Split, read, split
from funnel.features import TableEncoder
from funnel.pipeline.progress import step
from funnel.types import Examples, Features


@dataclass(frozen=True)
class Prepared:
    """A data set, split, and encoded with encoders fitted on the towers' training window.

    Requests of both windows carry their users' encoded columns. read_at: seconds since 1970 at which reading
    the data began.
    """

    config: Config
    dataset: Dataset
    split: Split
    user_encoder: TableEncoder
    item_encoder: TableEncoder
    user_features: Features
    read_at: float

    @cached_property
    def item_features(self) -> Features:
        """The items' encoded columns, computed at first use, since a million items take long."""
        return self.item_encoder.encode(self.dataset.items)


def prepare(config: Config, dataset: Dataset | None = None) -> Prepared:
    """Read and split the data; fit encoders on the users and items of the towers' training window.

    dataset: in place of what `config.data` says.
    Raises: DataError; see `prepare_from` and `Dataset`.
    """
    read_at = time.time()
    with step("read and split the data"):
        return prepare_from(config, read(config.data) if dataset is None else dataset, read_at)


def prepare_from(
    config: Config,
    dataset: Dataset,
    read_at: float,
    encoders: tuple[TableEncoder, TableEncoder] | None = None,
) -> Prepared:
    """`prepare` for a data set in memory. encoders: of users and items, of towers that are kept."""
    parts = split(dataset, config.split, config.seed, config.events)
    user_encoder, item_encoder = encoders or _fitted(dataset, parts)
    user_features = user_encoder.encode(dataset.users)
    parts = replace(
        parts, ranker=_with_users(parts.ranker, user_features), test=_with_users(parts.test, user_features)
    )
    return Prepared(config, dataset, parts, user_encoder, item_encoder, user_features, read_at)


def _fitted(dataset: Dataset, parts: Split) -> tuple[TableEncoder, TableEncoder]:
    schema, train = dataset.schema, parts.train
    return (
        TableEncoder.fit(schema.users, dataset.users.iloc[np.unique(train.users)]),
        TableEncoder.fit(schema.items, dataset.items.iloc[np.unique(train.items)]),
    )


def _with_users(examples: Examples, features: Features) -> Examples:
    rows = examples.requests.users
    encoded = {name: values[rows] for name, values in features.items()}
    return replace(examples, requests=replace(examples.requests, user_features=encoded))
