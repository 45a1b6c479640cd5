"""What was known at the moment of each request, from the rows of events and impressions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from funnel.data import Dataset, Split
from funnel.data.columnar.table import Table
from funnel.features import ContextConfig, ContextEncoder, TableEncoder
from funnel.types import Examples, Int64


def fit_context(dataset: Dataset, parts: Split, config: ContextConfig) -> ContextEncoder:
    """Encoders of the columns that the config chooses, fitted on the events that the towers learn from, and
    on lists that were shown before the last of these for columns of impressions alone."""
    columns = config.chosen(dataset.schema.context, dataset.clock)
    own = {column.name for column in dataset.schema.events}
    rows = slice(None) if parts.train.rows is None else parts.train.rows
    names = ["time", *(column.name for column in columns if column.name in own)]
    frame = dataset.event_table.frame(rows, names)
    others = [column.name for column in columns if column.name not in own]
    if others and dataset.impression_table is not None:
        early = dataset.impression_table.array("time") <= parts.train.times.max(initial=0)
        shown = dataset.impression_table.frame(np.flatnonzero(early), ["request_id", *others])
        frame = _beside(frame, shown.drop_duplicates("request_id")[others])
    return ContextEncoder(
        table=TableEncoder.fit(columns, frame),
        numbers=tuple(column.name for column in columns if column.kind == "number"),
        own=tuple(column.name for column in columns if column.name in own),
        clock=config.clock,
        timezone=config.timezone,
    )


def _beside(frame: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """The columns of both tables, whose rows have nothing to do with each other."""
    return pd.concat([frame.reset_index(drop=True), other.reset_index(drop=True)], axis=1)


def with_context(parts: Split, dataset: Dataset, context: ContextEncoder) -> Split:
    """The requests of both windows with what was known at their moments."""
    table = dataset.impression_table if parts.protocol == "shown" else dataset.event_table
    assert table is not None
    return replace(
        parts,
        ranker=known_at(parts.ranker, parts.ranker_rows, table, context),
        test=known_at(parts.test, parts.test_rows, table, context),
    )


def known_at(examples: Examples, rows: Int64 | None, table: Table, context: ContextEncoder) -> Examples:
    """The examples with what was known at their moments. rows: of the table, one an example."""
    if rows is None:
        return examples
    some = table.frame(rows)
    encoded = context.encode(some, some["time"].to_numpy())
    requests = replace(examples.requests, context=encoded, context_numbers=context.numbers_of(some))
    return replace(examples, requests=requests)
