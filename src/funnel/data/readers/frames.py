"""No reader at all: data that a program passes in."""

from __future__ import annotations

from pathlib import Path

from funnel.data.dataset import Dataset
from funnel.errors import DataError
from funnel.plugins import register


@register("reader", "frames")
def read_frames(path: Path | str | None = None) -> Dataset:
    """Always raises DataError: such a config is for `prepare(config, dataset)`, which does not read."""
    raise DataError(
        'data.reader is "frames": the data are passed by a program, as `funnel.prepare(config, dataset)`; '
        'to read files, name their reader, such as "folder"'
    )
