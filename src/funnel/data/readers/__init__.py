"""Public data formats into a `Dataset`: one module a format, one function each, by name in `READERS`."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path
from typing import Self

from pydantic import Field, field_validator, model_validator

from funnel.data.dataset import Dataset
from funnel.data.readers.amazon_sequences import read_amazon_sequences
from funnel.data.readers.amazon_timestamps import read_amazon_timestamps
from funnel.data.readers.folder import read_folder
from funnel.data.readers.frames import read_frames
from funnel.data.readers.lightgcn import read_lightgcn
from funnel.data.readers.movielens import read_movielens
from funnel.data.readers.movielens_100k import read_movielens_100k
from funnel.data.readers.synthetic import read_synthetic
from funnel.data.readers.trivago import read_trivago
from funnel.settings import Settings
from funnel.synthetic import SyntheticConfig

__all__ = [
    "READERS",
    "DataConfig",
    "read",
    "read_amazon_sequences",
    "read_amazon_timestamps",
    "read_folder",
    "read_frames",
    "read_lightgcn",
    "read_movielens",
    "read_movielens_100k",
    "read_synthetic",
    "read_trivago",
]

READERS: dict[str, Callable[..., Dataset]] = {
    "movielens_100k": read_movielens_100k,
    "movielens": read_movielens,
    "amazon_sequences": read_amazon_sequences,
    "amazon_timestamps": read_amazon_timestamps,
    "lightgcn": read_lightgcn,
    "trivago": read_trivago,
    "folder": read_folder,
    "frames": read_frames,
    "synthetic": read_synthetic,
}

#: The options of `DataConfig` that a reader takes, beside the path.
_OPTIONS = {
    "movielens_100k": {"min_rating"},
    "movielens": {"min_rating"},
    "amazon_timestamps": {"min_rating"},
    "trivago": {"interactions"},
    "synthetic": {"synthetic"},
}
_PATH_MAY_BE_ABSENT = {"movielens_100k", "synthetic", "frames"}


class DataConfig(Settings):
    """Which data, and what of it. An option that the reader does not take must stay at its default."""

    reader: str = Field(description=f"one of {', '.join(READERS)}")
    path: str | None = Field(default=None, description="file or folder; None: the cache, where there is one")
    min_rating: float | None = Field(default=None, description="keep events rated at least this")
    interactions: bool = Field(default=True, description="trivago: read more than the clickouts")
    synthetic: SyntheticConfig | None = Field(
        default=None, description="the world to make; None: the default"
    )

    @field_validator("reader")
    @classmethod
    def _known(cls, reader: str) -> str:
        if reader not in READERS:
            near = difflib.get_close_matches(reader, READERS, n=1)
            hint = f"did you mean {near[0]!r}? It is " if near else "it is "
            raise ValueError(f"no reader {reader!r}: {hint}one of {', '.join(READERS)}")
        return reader

    @model_validator(mode="after")
    def _fits_the_reader(self) -> Self:
        if self.path is None and self.reader not in _PATH_MAY_BE_ABSENT:
            raise ValueError(f"the reader {self.reader!r} needs a `path`")
        for option in sorted(set().union(*_OPTIONS.values()) - _OPTIONS.get(self.reader, set())):
            if getattr(self, option) != type(self).model_fields[option].default:
                readers = ", ".join(name for name, options in _OPTIONS.items() if option in options)
                raise ValueError(f"the reader {self.reader!r} has no option `{option}`; for {readers} only")
        return self


def read(config: DataConfig) -> Dataset:
    """The data set that the config names. Raises DataError or DownloadError, saying what was wrong where."""
    options = {option: getattr(config, option) for option in _OPTIONS.get(config.reader, ())}
    return READERS[config.reader](None if config.path is None else Path(config.path).expanduser(), **options)
