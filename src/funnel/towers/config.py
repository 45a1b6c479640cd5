"""What decides how the towers are built and trained."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

import funnel.towers.losses  # noqa: F401 - registers them
from funnel import plugins
from funnel.types import Clock

#: Cosines are divided by no less, given or learned (Radford et al. 2021, CLIP).
LEAST_TEMPERATURE = 0.01


class TowersConfig(plugins.Optioned):
    """Options of the two towers. The defaults are meant to do well unchanged."""

    encoder: Literal["auto", "transformer", "pooled"] = Field(
        "auto",
        description="how a history is read: causal self-attention, or a mean, weighted by distance where "
        "there is an order; auto: self-attention where there is an order",
    )
    d: int = Field(64, ge=4, le=1024, description="length of item and query vectors")
    layers: int = Field(2, ge=1, le=12, description="blocks of attention and feed-forward; sets: none")
    heads: int = Field(2, ge=1, le=16, description="attention heads; `d` is a multiple; sets: none")
    history: int = Field(
        50,
        ge=1,
        le=2000,
        description="most recent items that a query reads; a set is read whole, up to 1,000",
    )
    dropout: float = Field(0.3, ge=0, lt=1, description="share of numbers zeroed in a step; sets: none")
    id_dropout: float = Field(
        0.1, ge=0, lt=1, description="share of items a step that are known by their features only"
    )
    normalize: bool = Field(True, description="cosine between query and item; else the plain dot product")
    temperature: float | None = Field(
        None,
        ge=LEAST_TEMPERATURE,
        description="what cosines are divided by in the loss; learned from 0.07, sets: 0.1; none where "
        "`normalize` is false",
    )
    graph: int = Field(
        2, ge=0, le=4, description="sets: how far an item's embedding is smoothed over the user-item graph"
    )
    loss: str = Field(
        "auto",
        description="auto: full softmax up to 20,000 items (sets: 100,000), sampled softmax above",
    )
    negatives: int = Field(
        4096, ge=1, le=1_000_000, description="negatives that a step's positions share, when sampled"
    )
    in_batch: float = Field(
        0.5, ge=0, le=1, description="share of the negatives that are other targets of the step"
    )
    hard: float = Field(
        0.0, ge=0, le=1, description="share that are near items of targets, by the vectors of the last epoch"
    )
    logq: Literal["none", "usual", "corrected"] = Field(
        "corrected", description="how sampled softmax allows for the chance of drawing a negative"
    )
    frequencies: Literal["counted", "streaming"] = Field(
        "counted",
        description="how often an item is a target: counted in the log before, or estimated on the way",
    )
    epochs: int = Field(100, ge=1, le=1_000_000, description="most passes over the log")
    patience: int = Field(
        5, ge=1, le=1_000_000, description="epochs without a better validation before training ends"
    )
    batch: int = Field(2048, ge=1, le=1_000_000, description="positions a step, about")
    lr: float = Field(3e-3, gt=0, le=1, description="learning rate of AdamW")
    averaging: float = Field(
        0.99, ge=0, lt=1, description="decay a step of the averaged weights that are kept"
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto",
        exclude=True,  # where towers are trained is no part of what they are made from
        description="what towers are trained on; auto: CUDA where there is such a GPU, else the CPU",
    )
    weight_decay: float = Field(
        0.01, ge=0, le=10, description="of AdamW; biases, norms and temperature have none"
    )

    @model_validator(mode="after")
    def _loss_is_there(self) -> Self:
        plugins.check_options("loss", () if self.loss == "auto" else (self.loss,), self.options)
        return self

    @model_validator(mode="after")
    def _temperature_of_cosines(self) -> Self:
        if self.temperature is not None and not self.normalize:
            raise ValueError(
                f"temperature = {self.temperature} is of cosines, and with normalize = false there are none: "
                "leave it out, or set normalize = true"
            )
        return self

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.d % self.heads:
            raise ValueError(f"d must be a multiple of heads, and {self.d} is none of {self.heads}")
        if self.in_batch + self.hard > 1:
            raise ValueError(
                f"in_batch and hard are shares of the negatives; {self.in_batch} and {self.hard} "
                "are more than 1 together"
            )
        if self.loss == "gbce" and self.negative_counts[2] < 1:
            raise ValueError(
                'loss "gbce" is defined for negatives drawn evenly from all items: leave some of them to '
                f"that (in_batch = {self.in_batch} and hard = {self.hard} take all {self.negatives})"
            )
        return self

    @property
    def negative_counts(self) -> tuple[int, int, int]:
        """How many of the negatives come from the step, are hard, are drawn evenly."""
        in_batch = round(self.negatives * self.in_batch)
        hard = min(round(self.negatives * self.hard), self.negatives - in_batch)
        return in_batch, hard, self.negatives - in_batch - hard

    def temperature_for(self, clock: Clock) -> tuple[float, bool]:
        """The temperature at the start, and whether it is learned.

        On a set a query is trained on items of its own history; a learned temperature falls until it fits
        that.
        """
        if self.temperature is not None:
            return self.temperature, False
        return (0.1, False) if clock == "none" else (0.07, True)

    def unread(self, clock: Clock) -> list[str]:
        """The keys that were changed and that towers of such events do not read."""
        names = OF_ORDER if clock == "none" else OF_SETS
        fields = type(self).model_fields
        return [name for name in names if getattr(self, name) != fields[name].default]

    def reads(self, clock: Clock) -> int:
        """How many items of a history are read at most."""
        return SET_LIMIT if clock == "none" else self.history

    def batch_for(self, clock: Clock) -> int:
        """Positions a step: of sets three times as many, since a query has several."""
        return self.batch * (SET_STEP if clock == "none" else 1)

    def loss_for(self, n_items: int, clock: Clock) -> str:
        """The loss that a catalogue of this size is trained with."""
        if self.loss != "auto":
            return self.loss
        return "full_softmax" if n_items <= FULL_SOFTMAX_LIMIT[clock] else "sampled_softmax"


#: Above this many items the full softmax takes most of the training time. A set has one query for many
#: targets, an order one for each.
FULL_SOFTMAX_LIMIT: dict[Clock, int] = {"time": 20_000, "order": 20_000, "none": 100_000}

#: How much larger a step on sets is.
SET_STEP = 3

#: Keys that are read only where events have an order, and only where they have none.
OF_ORDER, OF_SETS = ("layers", "heads", "history", "dropout"), ("graph",)

#: Most items of a set that are read.
SET_LIMIT = 1000
