"""Your own data: a folder of Parquet or CSV files with a `schema.json`."""

from __future__ import annotations

from pathlib import Path

from funnel.data.dataset import Dataset
from funnel.plugins import register


@register("reader", "folder")
def read_folder(path: Path | str) -> Dataset:
    """As `Dataset.from_folder`, which says what the folder holds."""
    return Dataset.from_folder(path)
