"""The options of exploring, and what of them a bundle has."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from funnel.settings import LONGEST_LIST, Settings

#: An even share of draws where a temperature is given and it is not.
NO_EPSILON = 0.0


class ExploreConfig(Settings):
    """Lists that are drawn by chance, so that the log can tell what another order would have earned. Nothing
    is drawn unless `max_loss`, `temperature` or `epsilon` is given."""

    max_loss: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="largest loss of NDCG on the holdout, as a share of it; chooses what of temperature and "
        "epsilon is not given, and the gate `explore` fails beyond it",
    )
    temperature: float | None = Field(
        None,
        ge=0,
        le=1000,
        description="of the softmax over scores, brought to 0…1 over `rerank.pool`; 0 draws nothing",
    )
    epsilon: float | None = Field(
        None, ge=0, le=1, description="share of draws that are even over the best `top`"
    )
    top: int = Field(50, ge=1, le=LONGEST_LIST, description="candidates that a position is drawn from")
    share: float = Field(
        0.9, gt=0, le=1, description="share of users with drawn lists; harm is judged beside the others"
    )

    @property
    def is_on(self) -> bool:
        """Whether lists are drawn."""
        return any(value is not None for value in (self.max_loss, self.temperature, self.epsilon))

    @model_validator(mode="after")
    def _draws_something(self) -> Self:
        if self.max_loss is None and self.is_on and not (self.temperature or self.epsilon):
            raise ValueError("temperature and epsilon draw nothing at 0: give one, or `max_loss`")
        return self


class Drawing(Settings):
    """By what a bundle draws its lists, and what that may lose. Scores are brought to 0…1 over the pool of
    re-ranking before the temperature divides them."""

    temperature: float = Field(0.0, ge=0)
    epsilon: float = Field(NO_EPSILON, ge=0, le=1)
    top: int = Field(50, ge=1)
    share: float = Field(1.0, gt=0, le=1)
    max_loss: float | None = None
