"""What `[experiments.NAME]` may say."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import combinations
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from funnel.experiments.metrics import LiveMetric
from funnel.policies import Drawing
from funnel.settings import Settings, distinct
from funnel.stages import RankConfig, RerankConfig, RetrieveConfig

#: Sections of the config that an arm may set anew without a bundle of its own.
SECTIONS: Mapping[str, type[Settings]] = {
    "retrieve": RetrieveConfig,
    "rank": RankConfig,
    "rerank": RerankConfig,
    "explore": Drawing,
}

#: What names an experiment, an arm or a layer.
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"

#: Keys that an earlier funnel does not know.
_LATER = ("kind", "weights", "least")

Name = Annotated[str, Field(pattern=NAME, max_length=60)]


class Arm(Settings):
    """One way of answering, and how many users get it."""

    share: float = Field(ge=0, le=1, description="of the experiment's users; 0 is shadow: nobody sees it")
    bundle: str | None = Field(None, description="a version in the store; default what is published")
    retrieve: dict[str, Any] = Field({}, description="keys of `[retrieve]` in place of the bundle's own")
    rank: dict[str, Any] = Field({}, description="keys of `[rank]` in place of the bundle's own")
    rerank: dict[str, Any] = Field({}, description="keys of `[rerank]` in place of the bundle's own")

    explore: dict[str, Any] = Field(
        {}, description="keys of `[explore]`: temperature, epsilon, top and share; default the bundle's own"
    )

    @model_validator(mode="after")
    def _sections_are_right(self) -> Self:
        for name, section in self.sections.items():
            if "sources" in section:
                raise ValueError(
                    f"{name}.sources cannot be an arm's: the ranker has learned from the bundle's own"
                )
            with_section(name, None, section)
        return self

    @property
    def changes(self) -> frozenset[str]:
        """What it decides: "bundle" and names of sections; nothing for one that is as what is published."""
        sections = {name for name in SECTIONS if getattr(self, name)}
        return frozenset(sections | ({"bundle"} if self.bundle else set()))

    @property
    def sections(self) -> dict[str, dict[str, Any]]:
        """The sections that it sets anew, with what they say."""
        return {name: getattr(self, name) for name in SECTIONS if getattr(self, name)}


class ExperimentConfig(Settings):
    """A question to live traffic: arms, who is in it, and how it is judged. The first arm is the control."""

    arms: dict[Name, Arm] = Field(description="by name, the control first; their shares add up to 1")
    kind: Literal["split", "interleaving"] = Field(
        "split",
        description='"split": a user gets one arm; "interleaving": both arms\' lists in one, and a click '
        "counts for the arm that put the item in",
    )
    weights: Literal["fixed", "thompson"] = Field(
        "fixed",
        description='"thompson": with each update an arm gets the share that is its chance to be the best; '
        "the shares of the config are those of the first period",
    )
    least: float = Field(0.02, gt=0, lt=0.5, description="least share of an arm where shares move")
    layer: Name = Field("main", description="at most one experiment runs on a layer at a time")
    salt: str | None = Field(
        None, max_length=200, description="with the user's id it decides on the arm; default the name"
    )
    ramp: float = Field(1.0, gt=0, le=1, description="share of all users who are in it; it may only grow")
    exclude: tuple[int | str, ...] = Field(
        (), max_length=10_000, description="ids of users who are never in it, such as one's own people"
    )
    metric: str = Field(
        "click per user", description="the primary one; see docs/experiments.md for what may stand here"
    )
    guardrails: dict[str, float] = Field(
        {}, description="metrics that must not get worse by more than so much, as a share"
    )
    also: tuple[str, ...] = Field((), description="further metrics, judged with a false-discovery limit")
    days: int = Field(14, ge=1, le=365, description="the declared horizon, at which the usual test is made")
    alpha: float = Field(0.05, gt=0, lt=0.5, description="chance of an effect where there is none")
    power: float = Field(0.8, gt=0.5, lt=1, description="by which the smallest effect to be seen is stated")
    shadow: float = Field(0.05, gt=0, le=1, description="share of answers that arms with share 0 answer too")

    _each_once = field_validator("also", "exclude")(distinct)

    @model_serializer(mode="wrap")
    def _as_an_earlier_funnel_reads_it(self, written: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """What is as it always was is left out."""
        fields = type(self).model_fields
        as_always = [name for name in _LATER if getattr(self, name) == fields[name].default]
        return {name: value for name, value in written(self).items() if name not in as_always}

    @property
    def control(self) -> str:
        """The name of the arm that others are compared with."""
        return next(iter(self.arms))

    @property
    def served(self) -> dict[str, float]:
        """Shares of the arms that users get, the control first."""
        return {name: arm.share for name, arm in self.arms.items() if arm.share > 0}

    @property
    def changes(self) -> frozenset[str]:
        """What its arms decide."""
        return frozenset().union(*(arm.changes for arm in self.arms.values()))

    @property
    def metrics(self) -> tuple[str, ...]:
        """All of them, the primary first, each once."""
        return tuple(dict.fromkeys((self.metric, *self.guardrails, *self.also)))

    @field_validator("metric", "guardrails", "also")
    @classmethod
    def _are_metrics(cls, given: Any) -> Any:
        for text in [given] if isinstance(given, str) else given:
            LiveMetric.parse(text)
        return given

    @field_validator("guardrails")
    @classmethod
    def _margins(cls, given: dict[str, float]) -> dict[str, float]:
        if wrong := [name for name, margin in given.items() if not 0 <= margin < 1]:
            raise ValueError(f"the margin of {wrong[0]!r} is a share from 0 to below 1, such as 0.02")
        return given

    @model_validator(mode="after")
    def _shares_are_one(self) -> Self:
        total = math.fsum(arm.share for arm in self.arms.values())
        if len(self.arms) < 2:
            raise ValueError(f"{len(self.arms)} arms: a control and at least one other are needed")
        if abs(total - 1) > 1e-9:
            raise ValueError(f"the arms' shares add up to {total:.6g}; they must add up to 1")
        if self.arms[self.control].share == 0:
            raise ValueError(f"the first arm, {self.control!r}, is the control: its share must be above 0")
        return self

    @model_validator(mode="after")
    def _is_judged_by_users(self) -> Self:
        """Where arms are not compared as they were declared, it is by one metric of users' events."""
        if self.kind == "split" and self.weights == "fixed":
            return self
        what = 'kind = "interleaving"' if self.kind == "interleaving" else 'weights = "thompson"'
        metric = LiveMetric.parse(self.metric)
        if metric.per != "user" or metric.less_is_better or (metric.value and self.kind == "interleaving"):
            raise ValueError(
                f"{what} goes by users' events: the metric is KIND per user, as in 'click per user'"
            )
        if self.kind == "split" and self.least * len(self.served) > 1:
            raise ValueError(f"least is {self.least:g}: {len(self.served)} arms of at least that are above 1")
        return self

    @model_validator(mode="after")
    def _can_be_interleaved(self) -> Self:
        if self.kind == "split":
            return self
        if self.weights != "fixed":
            raise ValueError('kind = "interleaving" gives every user both arms: weights must be "fixed"')
        if [arm.share for arm in self.arms.values()] != [0.5, 0.5]:
            raise ValueError('kind = "interleaving" takes two arms, with a share of 0.5 each')
        if self.guardrails or self.also:
            raise ValueError('kind = "interleaving" tells which list is liked better, by its metric alone')
        if any(arm.explore for arm in self.arms.values()):
            raise ValueError('kind = "interleaving" mixes lists that are not drawn: arms have no `explore`')
        return self

    @model_validator(mode="after")
    def _arms_differ(self) -> Self:
        for (a, first), (b, other) in combinations(self.arms.items(), 2):
            if first.model_dump(exclude={"share"}) == other.model_dump(exclude={"share"}):
                raise ValueError(
                    f"the arms {a!r} and {b!r} are the same: name a bundle or a section that differs"
                )
        return self


def with_section(name: str, own: Settings | None, given: Mapping[str, Any]) -> Any:
    """A section's settings with these keys in place of its own. own: None: the defaults.

    Raises: pydantic's ValidationError for what the section cannot have.
    """
    return SECTIONS[name].model_validate({**({} if own is None else own.model_dump()), **given})


def check_layers(experiments: Mapping[str, ExperimentConfig]) -> None:
    """Raises: ValueError for two experiments that would be on each other's users: on one layer, or deciding
    on the same thing."""
    for (a, first), (b, other) in combinations(experiments.items(), 2):
        if first.kind == other.kind == "interleaving":
            raise ValueError(
                f"the experiments {a!r} and {b!r} both interleave lists: a list is of two arms; stop one "
                "first"
            )
        if first.layer == other.layer:
            raise ValueError(
                f"the experiments {a!r} and {b!r} are both on layer {first.layer!r}: stop one first, or give "
                "them layers of their own if they change different things"
            )
        if both := sorted(first.changes & other.changes):
            raise ValueError(
                f"the experiments {a!r} and {b!r} both decide on {both[0]!r}: their arms would overrule each "
                "other; stop one first"
            )
