"""What `[serve]` may say."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from funnel.settings import Settings


class ServeConfig(Settings):
    """Where `funnel serve` listens, and the limits of what it takes."""

    host: str = Field("127.0.0.1", min_length=1, description="address to listen on")
    port: int = Field(8000, ge=0, le=65_535, description="port to listen on; 0 takes a free one")
    workers: int = Field(1, ge=1, le=256, description="processes that answer; each wants a core")
    watch: float = Field(2.0, gt=0, le=3600, description="seconds between looks for a newly published bundle")
    body: int = Field(1_000_000, ge=1, le=1_000_000_000, description="bytes of a body, at most")
    k: int = Field(1_000, ge=1, le=1_000_000, description="items of an answer, at most")
    users: int = Field(1_000, ge=1, le=100_000, description="users of one call of recommend/many, at most")
    batch: int = Field(32, ge=1, le=1_000, description="waiting requests that are answered together, at most")
    seconds: float = Field(
        10.0, gt=0, le=3600, description="seconds in which a body must arrive, and that a request may wait"
    )
    keys: str = Field("", description="file of API keys, see `funnel keys`; empty: none, and loopback alone")
    in_flight: int = Field(256, ge=1, le=100_000, description="requests that a worker takes at a time")
    history: int = Field(1_000, ge=1, le=100_000, description="ids of a history or of `exclude`, at most")
    items: int = Field(10_000, ge=1, le=10_000, description="items of a list to rank, at most")
    conditions: int = Field(100, ge=1, le=1_000, description="conditions of a filter, at most")
    events: int = Field(1_000, ge=1, le=10_000, description="events of one call, at most")
    slow: float = Field(1.0, gt=0, le=3600, description="seconds from which a request is logged as slow")
    logs: Literal["auto", "json", "text"] = Field(
        "auto", description="form of the logs; auto: JSON unless they go to a terminal"
    )
    drain: float = Field(
        30.0, gt=0, le=3600, description="seconds that requests in flight have to end after SIGTERM"
    )
