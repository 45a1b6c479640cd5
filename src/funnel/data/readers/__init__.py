"""Public data formats into a `Dataset`: one module a format, one function each, which registers itself."""

from __future__ import annotations

from inspect import Parameter, signature
from pathlib import Path
from typing import Any, Protocol, Self

from pydantic import Field, JsonValue, field_validator, model_validator

from funnel import plugins
from funnel.data.database import VARIABLE
from funnel.data.dataset import Dataset
from funnel.data.elsewhere import fetched
from funnel.data.readers.amazon_sequences import read_amazon_sequences
from funnel.data.readers.amazon_timestamps import read_amazon_timestamps
from funnel.data.readers.folder import read_folder
from funnel.data.readers.frames import read_frames
from funnel.data.readers.lightgcn import read_lightgcn
from funnel.data.readers.movielens import read_movielens
from funnel.data.readers.movielens_100k import read_movielens_100k
from funnel.data.readers.sql import read_sql
from funnel.data.readers.synthetic import read_synthetic
from funnel.data.readers.trivago import read_trivago
from funnel.settings import Settings
from funnel.synthetic import SyntheticConfig
from funnel.values.urls import check_no_password, is_url

__all__ = [
    "DataConfig",
    "Reader",
    "read",
    "read_amazon_sequences",
    "read_amazon_timestamps",
    "read_folder",
    "read_frames",
    "read_lightgcn",
    "read_movielens",
    "read_movielens_100k",
    "read_sql",
    "read_synthetic",
    "read_trivago",
]


class Reader(Protocol):
    """Reads a data set: `@register("reader", NAME)`; keyword-only arguments are options.

    A reader whose path has a default can do without one.
    """

    def __call__(self, path: Path | None, /) -> Dataset:
        """path: a file or a folder. Raises: DataError saying what was wrong where."""


class DataConfig(Settings):
    """Which data, and what of it. An option that the reader does not take must stay at its default."""

    reader: str = Field(description="the name of what reads it")
    path: str | None = Field(
        default=None,
        description="file or folder, also a URL of fsspec; None: the cache, where there is one",
    )
    min_rating: float | None = Field(default=None, description="keep events rated at least this")
    interactions: bool = Field(default=True, description="trivago: read more than the clickouts")
    synthetic: SyntheticConfig | None = Field(
        default=None, description="the world to make; None: the default"
    )
    options: dict[str, JsonValue] = Field({}, description="of the reader sql, or of a plugin's")

    @field_validator("reader")
    @classmethod
    def _is_there(cls, reader: str) -> str:
        plugins.find("reader", reader)
        return reader

    @model_validator(mode="after")
    def _fits_the_reader(self) -> Self:
        plugin = plugins.find("reader", self.reader)
        path = next(iter(signature(plugin.make).parameters.values()))
        if self.path is None and path.default is Parameter.empty:
            raise ValueError(f"the reader {self.reader!r} needs a `path`")
        for option in SHARED:
            given = getattr(self, option) != type(self).model_fields[option].default
            if given and option not in plugin.options.model_fields:
                readers = ", ".join(name for name in plugins.names("reader") if _takes(name, option))
                raise ValueError(f"the reader {self.reader!r} has no option `{option}`; for {readers} only")
        plugin.bound(self._given())
        return self

    def _given(self) -> dict[str, Any]:
        """What the reader is called with beside the path."""
        shared = {option: getattr(self, option) for option in SHARED if _takes(self.reader, option)}
        return shared | self.options


#: Options that several readers share; those of plugins are in `options`.
SHARED = ("min_rating", "interactions", "synthetic")


def _takes(reader: str, option: str) -> bool:
    return option in plugins.find("reader", reader).options.model_fields


def read(config: DataConfig) -> Dataset:
    """The data set that the config names. Raises DataError or DownloadError, saying what was wrong where."""
    if config.path is not None and is_url(config.path):
        check_no_password(config.path, "data.path", VARIABLE)
        with fetched(config.path) as copy:
            return _read(config, copy)
    return _read(config, None if config.path is None else Path(config.path).expanduser())


def _read(config: DataConfig, path: Path | None) -> Dataset:
    dataset = plugins.make("reader", config.reader, path, options=config._given())
    if not isinstance(dataset, Dataset):
        raise plugins.refused(f"reader {config.reader!r}", "a Dataset is expected")
    return dataset
