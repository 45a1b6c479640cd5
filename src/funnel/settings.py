"""What every config class shares: frozen, and unknown keys are refused."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """A frozen group of options. Classes take their own small settings, never the whole config."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)
