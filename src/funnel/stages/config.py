"""The options of the stages around the ranker."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from funnel.settings import LONGEST_LIST, Settings, distinct


class RetrieveConfig(Settings):
    """Where candidates come from, and how many go on to the ranker."""

    sources: tuple[Literal["towers", "covisitation", "spectral", "popular"], ...] = Field(
        ("towers", "covisitation", "spectral", "popular"),
        min_length=1,
        description="spectral is there for sets of up to 100,000 items only, and left out elsewhere",
    )
    k: int = Field(
        500,
        ge=1,
        le=LONGEST_LIST,
        description="items asked of each source, and the length of the shortlist; LightGBM takes no more",
    )

    _each_once = field_validator("sources")(distinct)


class RerankConfig(Settings):
    """What is done to the ranked list before it is shown."""

    k: int = Field(10, ge=1, le=LONGEST_LIST, description="items returned")
    pool: int = Field(
        50, ge=1, le=LONGEST_LIST, description="best places that may be re-ordered for diversity"
    )
    trade_off: float = Field(1.0, ge=0, le=1, description="1 keeps the ranker's order; less is more diverse")
