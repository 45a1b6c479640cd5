"""Data sets: tables under a schema, readers of them, and splits in time."""

from funnel.data.columns import ColumnKind
from funnel.data.dataset import Dataset, Truth
from funnel.data.events_config import EventsConfig
from funnel.data.readers import DataConfig, Reader, read
from funnel.data.schema import Column, Schema
from funnel.data.shown import LoggedLists, logged_lists, shown_columns
from funnel.data.splits import Split, SplitConfig, split
from funnel.data.vocabulary import Vocabulary
from funnel.synthetic import SyntheticConfig

__all__ = [
    "Column",
    "ColumnKind",
    "DataConfig",
    "Dataset",
    "EventsConfig",
    "LoggedLists",
    "Reader",
    "Schema",
    "Split",
    "SplitConfig",
    "SyntheticConfig",
    "Truth",
    "Vocabulary",
    "logged_lists",
    "read",
    "shown_columns",
    "split",
]
