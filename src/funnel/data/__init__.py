"""Data sets: tables under a schema, readers of them, and splits in time."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

#: Each in its own file, loaded when it is first asked for: what serves needs the schema, and no reader.
_HOME = {
    "Column": "funnel.data.schema",
    "ColumnKind": "funnel.data.columns",
    "DataConfig": "funnel.data.readers",
    "Dataset": "funnel.data.dataset",
    "EventsConfig": "funnel.data.events_config",
    "LoggedLists": "funnel.data.shown",
    "Reader": "funnel.data.readers",
    "Schema": "funnel.data.schema",
    "Split": "funnel.data.splits",
    "SplitConfig": "funnel.data.splits",
    "SyntheticConfig": "funnel.synthetic",
    "Truth": "funnel.data.dataset",
    "Vocabulary": "funnel.data.vocabulary",
    "logged_lists": "funnel.data.shown",
    "read": "funnel.data.readers",
    "shown_columns": "funnel.data.shown",
    "split": "funnel.data.splits",
}


def __getattr__(name: str) -> Any:
    """A public name, loaded and kept (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value
