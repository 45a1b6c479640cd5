"""Where the steps of a run are done."""

from __future__ import annotations

import re

from pydantic import Field, ValidationError, field_validator

from funnel.errors import ConfigError, DataError
from funnel.settings import Settings
from funnel.values.urls import check_no_password, is_url

_ADDRESS = re.compile(r"(ray://)?[A-Za-z0-9_.\-\[\]:]+:\d{1,5}$")


class ScaleConfig(Settings):
    """The cluster. Address, workers and storage are no part of what a bundle is: the same data and config
    give the same one on any. In how many parts items and training lists are held is: sums are rounded
    otherwise."""

    address: str = Field(
        "",
        description="of Ray: `local` for one of its own on this machine, `auto` for the one that this "
        "machine is part of, or `host:port`, or `ray://host:port`; empty: none, all is done in this process",
    )
    workers: int = Field(0, ge=0, le=100_000, description="tasks at a time; 0: as many as there are cores")
    item_shards: int = Field(
        1,
        ge=1,
        le=1000,
        description="processes of the cluster that train the towers together, each with its part of the "
        "items; 1: the process that runs the command",
    )
    list_shards: int = Field(
        1,
        ge=1,
        le=1000,
        description="processes of the cluster that grow the ranker's trees together, each with its part of "
        "the training lists; 1: the process that runs the command",
    )
    storage: str = Field(
        "",
        description="URL of fsspec through which files go to workers and back, such as `s3://bucket/prefix`; "
        "${NAME} is of the environment; empty: all machines see the stores under the same path",
    )
    cache: str = Field(
        "",
        description="folder of each machine for what it has had from the storage; empty: one in the user's "
        "own cache",
    )
    cache_gib: float = Field(20.0, gt=0, le=1_000_000, description="GiB of it, at most, that nobody uses")
    seconds: float = Field(60.0, gt=0, le=3600, description="within which the cluster must answer")

    def at(self, address: str, storage: str | None = None) -> ScaleConfig:
        """The same at another address, and with another storage. Raises: ConfigError for what is none."""
        given = {"address": address, **({} if storage is None else {"storage": storage})}
        try:
            return ScaleConfig.model_validate({**self.model_dump(), **given})
        except ValidationError as error:
            first = error.errors()[0]
            name, wrong = first["loc"][0], str(first["msg"]).removeprefix("Value error, ")
            raise ConfigError(f"the cluster's {name} is {first['input']!r}; {wrong}") from None

    @field_validator("storage")
    @classmethod
    def _is_url(cls, storage: str) -> str:
        if storage and not is_url(storage):
            raise ValueError("a URL of fsspec is expected, such as `s3://bucket/prefix` or `file:///mnt/all`")
        try:
            check_no_password(storage, "scale.storage", "FUNNEL_STORAGE_PASSWORD")
        except DataError as error:
            raise ValueError(str(error)) from error
        return storage

    @field_validator("address")
    @classmethod
    def _is_an_address(cls, address: str) -> str:
        if address in ("", "local", "auto") or _ADDRESS.match(address):
            return address
        raise ValueError("`local`, `auto`, `host:port` or `ray://host:port` is expected")
