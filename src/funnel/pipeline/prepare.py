"""Read a data set, split it, and encode its tables with encoders fitted on the training window."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from funnel.config import Config
from funnel.data import Dataset, LoggedLists, Split, logged_lists, read, split
from funnel.distinct import distinct
from funnel.features import ContextEncoder, Rates, TableEncoder, fit_rates
from funnel.pipeline.moments import fit_context, known_at, with_context
from funnel.pipeline.progress import step
from funnel.types import Examples, Features, Log


@dataclass(frozen=True)
class Prepared:
    """A data set, split, and encoded with encoders fitted on the towers' training window.

    Requests of both windows carry their users' encoded columns, and what was known at their moments. context:
    what encodes that; None where nothing is. read_at: seconds since 1970 at which reading the data began.
    """

    config: Config
    dataset: Dataset
    split: Split
    user_encoder: TableEncoder
    item_encoder: TableEncoder
    user_features: Features
    read_at: float
    context: ContextEncoder | None = None

    @cached_property
    def item_features(self) -> Features:
        """The items' encoded columns, computed at first use, since a million items take long."""
        return self.item_encoder.encode(self.dataset.items)

    @cached_property
    def ranker_lists(self) -> LoggedLists | None:
        """The lists that were shown in the ranker's window, as requests with all that was known. None where
        there is none to learn from: none was logged, the config leaves them out, or lists are what the
        protocol ranks anyway."""
        return self._lists("ranker")

    @cached_property
    def test_lists(self) -> LoggedLists | None:
        """The same of the test window, each standing for itself."""
        return self._lists("test")

    def _lists(self, part: Literal["ranker", "test"]) -> LoggedLists | None:
        config, data = self.config, self.dataset
        if not config.ranker.impressions or self.split.protocol == "shown":
            return None
        most, seed = config.ranker.lists, config.seed
        lists = logged_lists(data, config.split, part, most, seed, config.events, alike=part == "test")
        if lists is None:
            return None
        examples = with_users(lists.examples, self.user_features)
        if self.context is not None:
            assert data.impression_table is not None
            examples = known_at(examples, lists.rows, data.impression_table, self.context)
        return replace(lists, examples=examples)

    @cached_property
    def event_context(self) -> Features:
        """What was known before each event, encoded: one row a row of the table of events."""
        if self.context is None:
            return {}
        table = self.dataset.event_table
        wanted = [name for name in self.context.table.specs if name in table]
        return self.context.encode(table.frame(names=["time", *wanted]), table.array("time"))

    def rates(self, log: Log) -> Mapping[str, Rates]:
        """How often items are taken in each context, from the events of a log."""
        if self.context is None:
            return {}
        specs, items = self.context.tower_specs, self.item_encoder.specs
        return fit_rates(log, self.event_context, specs, self.item_features, items)


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
    encoders: tuple[TableEncoder, TableEncoder, ContextEncoder | None] | None = None,
) -> Prepared:
    """`prepare` for a data set in memory. encoders: of users, items and context, of towers that are kept."""
    chosen = config.context.chosen(dataset.schema.context, dataset.clock)
    in_context = encoders[2] is not None if encoders else bool(chosen) or config.context.clock
    parts = split(dataset, config.split, config.seed, config.events, rows=in_context)
    user_encoder, item_encoder = encoders[:2] if encoders else _fitted(dataset, parts)
    context = encoders[2] if encoders else fit_context(dataset, parts, config.context) if in_context else None
    user_features = user_encoder.encode(dataset.users)
    parts = replace(
        parts, ranker=with_users(parts.ranker, user_features), test=with_users(parts.test, user_features)
    )
    if context is not None:
        parts = with_context(parts, dataset, context)
    return Prepared(config, dataset, parts, user_encoder, item_encoder, user_features, read_at, context)


def _fitted(dataset: Dataset, parts: Split) -> tuple[TableEncoder, TableEncoder]:
    schema, train = dataset.schema, parts.train
    return (
        TableEncoder.fit(schema.users, dataset.users.iloc[distinct(train.users)]),
        TableEncoder.fit(schema.items, dataset.items.iloc[distinct(train.items)]),
    )


def with_users(examples: Examples, features: Features) -> Examples:
    """The examples with the encoded columns of their users. features: of all users."""
    rows = examples.requests.users
    encoded = {name: values[rows] for name, values in features.items()}
    return replace(examples, requests=replace(examples.requests, user_features=encoded))
