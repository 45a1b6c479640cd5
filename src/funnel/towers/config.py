"""What decides how the towers are built and trained."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from funnel.settings import Settings


class TowersConfig(Settings):
    """Options of the two towers. The defaults are meant to do well unchanged."""

    encoder: Literal["transformer", "pooled"] = Field(
        "transformer",
        description="how a history is read: causal self-attention, or a mean weighted by distance",
    )
    d: int = Field(64, ge=4, le=1024, description="length of item and query vectors")
    layers: int = Field(2, ge=1, le=12)
    heads: int = Field(2, ge=1, le=16)
    history: int = Field(50, ge=1, le=2000, description="most recent items that a query reads")
    dropout: float = Field(0.3, ge=0, lt=1)
    id_dropout: float = Field(
        0.1, ge=0, lt=1, description="share of items a step that are known by their features only"
    )
    normalize: bool = Field(True, description="cosine between query and item; else the plain dot product")
    temperature: float = Field(0.07, gt=0, description="what similarities are divided by in the loss")
    learn_temperature: bool = Field(True, description="train the temperature, starting from the one given")
    loss: Literal["auto", "full_softmax", "sampled_softmax", "gbce"] = Field(
        "auto", description="auto: full softmax up to 20,000 items, sampled softmax above"
    )
    negatives: int = Field(4096, ge=1, description="negatives that a step's positions share, when sampled")
    in_batch: float = Field(
        0.5, ge=0, le=1, description="share of the negatives that are other targets of the step"
    )
    logq: Literal["none", "usual", "corrected"] = Field(
        "corrected", description="how sampled softmax allows for the chance of drawing a negative"
    )
    epochs: int = Field(100, ge=1, description="most passes over the log")
    patience: int = Field(5, ge=1, description="epochs without a better validation before training ends")
    batch: int = Field(2048, ge=1, description="positions a step, about")
    lr: float = Field(1e-3, gt=0)
    averaging: float = Field(
        0.99, ge=0, lt=1, description="decay a step of the averaged weights that are kept"
    )
    weight_decay: float = Field(0.01, ge=0)

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.d % self.heads:
            raise ValueError(f"d must be a multiple of heads, and {self.d} is none of {self.heads}")
        return self

    def loss_for(self, n_items: int) -> str:
        """The loss that a catalogue of this size is trained with."""
        if self.loss != "auto":
            return self.loss
        return "full_softmax" if n_items <= FULL_SOFTMAX_LIMIT else "sampled_softmax"


#: Above this many items the full softmax takes most of the training time.
FULL_SOFTMAX_LIMIT = 20_000
