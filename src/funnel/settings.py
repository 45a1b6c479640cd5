"""What every config class shares: frozen, and what would not be used is refused."""

from __future__ import annotations

from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, model_validator

#: A seed is one for NumPy, torch, FAISS and LightGBM at once: the last two hold it in 32 bits with a sign.
MOST_SEEDS = 2**31

#: LightGBM's objectives take no longer list; what is retrieved is a list, and what is measured is one.
LONGEST_LIST = 10_000


class Settings(BaseModel):
    """A frozen group of options. Classes take their own small settings, never the whole config.

    Unknown keys are refused, and so are NaN, infinity, and truth values where a number is expected.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _no_truth_values_as_numbers(cls, raw: Any) -> Any:
        for name, value in raw.items() if isinstance(raw, dict) else ():
            if isinstance(value, bool) and name in cls.model_fields:
                annotation = cls.model_fields[name].annotation
                if bool not in (annotation, *get_args(annotation)):
                    raise ValueError(f"`{name}` is {str(value).lower()}: a truth value means nothing here")
        return raw


def distinct(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """The values. Raises: ValueError naming one that comes twice."""
    for position, value in enumerate(values):
        if value in values[:position]:
            raise ValueError(f"{value!r} comes twice; name each once")
    return values
