"""What happened: tables under a schema, and their honest division in time."""

from funnel.data.columns import ColumnKind
from funnel.data.dataset import Dataset, Truth
from funnel.data.schema import Column, Schema
from funnel.data.splits import Split, SplitConfig, split
from funnel.data.vocabulary import Vocabulary

__all__ = [
    "Column",
    "ColumnKind",
    "Dataset",
    "Schema",
    "Split",
    "SplitConfig",
    "Truth",
    "Vocabulary",
    "split",
]
