"""The file that says which parts saved statistics have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from funnel.errors import BundleError
from funnel.settings import Settings
from funnel.types import MOST_KINDS, Clock


class ListSettings(Settings):
    """Neighbour lists in statistics.json."""

    decay: float = Field(gt=0, le=1)
    reach: int = Field(ge=1, le=2**31 - 1)


class StatisticsFile(Settings):
    """The content of statistics.json."""

    clock: Clock
    windows: tuple[Annotated[int, Field(ge=1, le=2**62)] | None, ...] = Field(min_length=1)
    neighbours: dict[Literal["covisitation", "transitions", "spectral"], ListSettings]
    spectral: bool = False  #: of earlier files: whether there are vectors in place of lists
    at_end: bool = False
    kinds: int = Field(0, ge=0, le=MOST_KINDS)

    @classmethod
    def load(cls, path: Path) -> StatisticsFile:
        """Raises: BundleError when it is missing or damaged."""
        try:
            about = cls.model_validate_json(path.read_bytes())
            about.neighbours["covisitation"]  # always there
        except (OSError, ValueError, KeyError) as error:
            raise BundleError(f"{path} cannot be read ({error!r}); build the bundle again") from error
        if about.spectral:
            raise BundleError(f"{path}: `spectral` is lists of items now, no vectors; build the bundle again")
        return about
