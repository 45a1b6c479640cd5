"""The options of the stages around the ranker."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

# What registers them.
import funnel.stages.diversify
import funnel.stages.sources
import funnel.stages.towers  # noqa: F401
from funnel import plugins
from funnel.errors import ConfigError
from funnel.settings import LONGEST_LIST, Settings, distinct
from funnel.stages.formula import Formula

#: What reports call the stages that are always there.
RESERVED = frozenset({"retrieve", "filter", "eligible", "rank", "value", "rerank", "rules", "top", "explore"})

#: What stands before the name of a kind of event in an expression: `p_event` is how probable one is,
#: `v_event` what one is worth.
PROBABILITY, VALUE = "p_", "v_"


def variable(head: str, prefix: str = PROBABILITY) -> str:
    """What an expression calls the probability of a kind of event, `p_add_to_cart` for add-to-cart, or, by
    its prefix, something else of it."""
    return prefix + re.sub(r"\W", "_", head)


class RetrieveConfig(plugins.Optioned):
    """Where candidates come from, and how many go on to the ranker."""

    sources: tuple[str, ...] = Field(
        ("towers", "covisitation", "spectral", "popular"),
        min_length=1,
        description="spectral is there for sets of up to 100,000 items only, and left out elsewhere",
    )
    k: int = Field(
        500,
        ge=1,
        le=LONGEST_LIST,
        description="items of each source, and the length of the shortlist; LightGBM takes no more",
    )

    stages: tuple[str, ...] = Field(
        (), description="stages of plugins between retrieval and the ranker, in order; it learns behind them"
    )
    where: dict[str, Any] | None = Field(
        None,
        description="a filter that holds for every request, in training and evaluation as when it serves, "
        "such as { active = true }; it may compare items with the context, see docs/context.md",
    )

    _each_once = field_validator("sources", "stages")(distinct)

    @model_validator(mode="after")
    def _are_there(self) -> Self:
        if both := sorted(set(self.sources) & set(self.stages)):
            raise ValueError(f"{both[0]!r} is a source and a stage here: one name, one set of options")
        of_stages = {name: given for name, given in self.options.items() if name in self.stages}
        of_sources = {name: given for name, given in self.options.items() if name not in self.stages}
        plugins.check_options("source", self.sources, of_sources)
        plugins.check_options("stage", self.stages, of_stages)
        _not_reserved(self.stages)
        if "diversify" in self.stages:
            raise ValueError("diversify orders what is shown: it stands behind the ranker, in rerank.stages")
        return self


class RankConfig(Settings):
    """By what the ranked list is ordered before diversity and rules."""

    value: str | None = Field(
        None,
        description="expected value as an expression over probabilities (`p_event`), what events are worth "
        "(`v_event`, learned from the column `value` of events), item columns of "
        'numbers, and numbers of the context, such as "p_event * bid"; + - * / ** min max log exp abs; '
        "default the ranker's order",
    )
    floor: dict[str, float] = Field(
        default_factory=dict,
        description="least values of probabilities and columns: items below come behind all others",
    )

    @field_validator("value")
    @classmethod
    def _can_be_read(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                names = Formula.parse(value).names
            except ConfigError as error:
                raise ValueError(str(error)) from error
            if not names:
                raise ValueError("it reads no probability and no column: every item would have one value")
        return value

    @model_validator(mode="after")
    def _floor_is_of_a_value(self) -> Self:
        if self.floor and self.value is None:
            raise ValueError("rank.floor is given without rank.value; give both, or neither")
        return self


class RerankConfig(plugins.Optioned):
    """What is done to the ranked list before it is shown."""

    k: int = Field(10, ge=1, le=LONGEST_LIST, description="items returned")
    pool: int = Field(
        50, ge=1, le=LONGEST_LIST, description="best positions that may be re-ordered for diversity"
    )
    trade_off: float = Field(1.0, ge=0, le=1, description="1 keeps the ranker's order; less is more diverse")
    kind: Literal["mmr", "dpp"] = Field(
        "mmr",
        description="how a list is made diverse: by the nearest item above, or by the volume of all",
    )
    stages: tuple[str, ...] = Field(
        ("diversify",),
        min_length=1,
        description="stages behind the ranker, in order; the list is cut at k",
    )

    _each_once = field_validator("stages")(distinct)

    @model_validator(mode="after")
    def _are_there(self) -> Self:
        plugins.check_options("stage", self.stages, self.options)
        _not_reserved(self.stages)
        return self


def _not_reserved(stages: Collection[str]) -> None:
    if taken := sorted(RESERVED & set(stages)):
        raise ValueError(f"a stage cannot be called {taken[0]!r}: reports know another one by that name")
