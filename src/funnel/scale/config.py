"""Where the steps of a run are done."""

from __future__ import annotations

import re

from pydantic import Field, ValidationError, field_validator

from funnel.errors import ConfigError
from funnel.settings import Settings

_ADDRESS = re.compile(r"(ray://)?[A-Za-z0-9_.\-\[\]:]+:\d{1,5}$")


class ScaleConfig(Settings):
    """The cluster. Address and workers are no part of what a bundle is: the same data and config give the
    same one on any. In how many parts items and training lists are held is: sums are rounded otherwise."""

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
    seconds: float = Field(60.0, gt=0, le=3600, description="within which the cluster must answer")

    def at(self, address: str) -> ScaleConfig:
        """The same at another address. Raises: ConfigError for what is none."""
        try:
            return ScaleConfig.model_validate({**self.model_dump(), "address": address})
        except ValidationError as error:
            wrong = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
            raise ConfigError(f"the cluster's address is {address!r}; {wrong}") from None

    @field_validator("address")
    @classmethod
    def _is_an_address(cls, address: str) -> str:
        if address in ("", "local", "auto") or _ADDRESS.match(address):
            return address
        raise ValueError("`local`, `auto`, `host:port` or `ray://host:port` is expected")
