"""How large the made-up world is, and how hard to learn from its clicks."""

from __future__ import annotations

from pydantic import Field

from funnel.settings import MOST_SEEDS, Settings


class AdsConfig(Settings):
    """What the world has of ads as they are: moments that matter, purchases, bids and budgets."""

    placements: int = Field(default=4, ge=1, le=100, description="where lists are shown")
    context: float = Field(
        default=1.0,
        ge=0,
        description="how far a placement moves the logit of a click, by category, in standard deviations; "
        "devices and hours half as far",
    )
    purchases: float = Field(
        default=0.1, gt=0, lt=1, description="share of the clicks on an average ad that are followed by one"
    )
    bid: float = Field(default=0.5, gt=0, description="for a click, of an average campaign")
    commission: float = Field(default=0.3, ge=0, description="share of a purchase's margin that is earned")
    budget: float = Field(default=20.0, gt=0, description="for a day, of an average campaign")


class SyntheticConfig(Settings):
    """The options of `write_world`; the same ones give the same world."""

    users: int = Field(default=20_000, ge=1, lt=2**31, description="how many there are")
    items: int = Field(default=100_000, ge=1, lt=2**31, description="how many ads there are")
    events_per_user: float = Field(default=25.0, gt=0, description="clicks, on average")
    dim: int = Field(default=16, ge=1, description="dimension of the true factors")
    slots: int = Field(default=10, ge=1, description="positions of a list that is shown")
    position_bias: float = Field(
        default=0.7, ge=0, description="position p, from 1, is looked at with p ** -bias"
    )
    noise: float = Field(default=0.5, ge=0, description="standard deviation of chance in a click's logit")
    days: int = Field(default=60, ge=1, le=600, description="length of the log")
    late: float = Field(
        default=0.3, ge=0, le=1, description="share of campaigns that start after the first day"
    )
    seed: int = Field(default=0, ge=0, lt=MOST_SEEDS, description="of the whole world")
    ads: AdsConfig | None = Field(
        default=None,
        description="kinds of events, contexts, bids and budgets; without it there are clicks alone",
    )

    def written(self) -> str:
        """As JSON, without what is not there: a world of clicks is written as before there were others."""
        return self.model_dump_json(indent=2, exclude_none=True)
