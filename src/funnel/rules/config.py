"""Rules as a config declares them, one `[[rules]]` table each; `kind` says what a table is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import Field, JsonValue, StrictInt, StrictStr, field_validator, model_validator

from funnel.settings import Settings, distinct

#: Positions of a list, from 1; rules about later ones are refused.
Position: TypeAlias = Annotated[StrictInt, Field(ge=1, le=1000)]
Where: TypeAlias = dict[str, JsonValue]
_COLUMN = "column of items; of a list, each value counts"

#: Seconds of a unit, and the longest time that impressions are kept.
_UNITS, LONGEST_DAYS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}, 90


class _Rule(Settings):
    name: str = Field("", max_length=100, description="what answers call it; default its kind and column")
    priority: int = Field(
        0, ge=-1_000_000, le=1_000_000, description="what is higher gives way later; equal ones in order"
    )

    @property
    def label(self) -> str:
        """What answers call it."""
        return self.name or " ".join([self.kind, *self.columns[:1]])  # type: ignore[attr-defined]

    @property
    def columns(self) -> tuple[str, ...]:
        """The item columns that it names itself; those of a filter are not among them."""
        return (*self.money, *self.coded)

    @property
    def coded(self) -> tuple[str, ...]:
        """Those whose values it counts or tells apart."""
        return (self.column,) if hasattr(self, "column") else ()

    @property
    def money(self) -> tuple[str, ...]:
        """Those that it reads as numbers."""
        return ()


class AtMostRule(_Rule):
    """At most n items of each value of a column."""

    kind: Literal["at_most"] = Field(description="at most n items of each value of a column")
    column: str = Field(min_length=1, description=_COLUMN)
    n: StrictInt = Field(ge=1, le=1000, description="items of one value in a list")
    strict: bool = Field(False, description="true: rather a shorter list than one more")


class AtLeastRule(_Rule):
    """At least n items that pass a filter."""

    kind: Literal["at_least"] = Field(description="at least n items that pass a filter")
    where: Where = Field(min_length=1, description="filter on item columns, as in a request")
    n: StrictInt = Field(ge=1, le=1000, description="items in a list")


class PinRule(_Rule):
    """One item at a position."""

    kind: Literal["pin"] = Field(description="one item at a position")
    item: StrictInt | StrictStr = Field(description="its id")
    position: Position = Field(description="from 1")


class ReserveRule(_Rule):
    """Positions that are for items that pass a filter."""

    kind: Literal["reserve"] = Field(description="positions for items that pass a filter")
    where: Where = Field(min_length=1, description="filter on item columns, as in a request")
    positions: tuple[Position, ...] = Field(min_length=1, max_length=1000, description="from 1")

    _each_once = field_validator("positions")(distinct)


class BoostRule(_Rule):
    """Items that pass a filter rank higher or lower; one of `multiply`, `add` and `to`."""

    kind: Literal["boost"] = Field(description="items that pass a filter rank higher, or lower")
    where: Where = Field(min_length=1, description="filter on item columns, as in a request")
    multiply: float | None = Field(
        None, gt=0, description="factor of a score; a negative score is divided by it, so that 2 always lifts"
    )
    add: float | None = Field(None, description="added to a score")
    to: Literal["front", "back"] | None = Field(None, description="before or behind everything else")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        given = [name for name in ("multiply", "add", "to") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"one of multiply, add and to is expected; given: {', '.join(given) or 'none'}")
        return self


class ApartRule(_Rule):
    """Values of a column of which a list has one at most: competitors."""

    kind: Literal["apart"] = Field(description="competitors: values of which a list has one at most")
    column: str = Field(min_length=1, description=_COLUMN)
    values: tuple[tuple[StrictStr | StrictInt, ...], ...] = Field(
        min_length=1, max_length=10_000, description="groups of values that keep apart"
    )
    strict: bool = Field(True, description="false: rather both than a shorter list")

    @field_validator("values")
    @classmethod
    def _groups(cls, groups: tuple[tuple[Any, ...], ...]) -> tuple[tuple[Any, ...], ...]:
        for group in groups:
            if len(distinct(group)) < 2:
                raise ValueError(f"{list(group)} is one value: what should it be kept apart from?")
        return groups


class CapRule(_Rule):
    """A user is shown items of a value so often in a time, counted from observed impressions."""

    kind: Literal["cap"] = Field(description="so many impressions of a value for a user in a time")
    column: str = Field(min_length=1, description=f"{_COLUMN}; item_id for each item by itself")
    shows: StrictInt = Field(ge=1, le=10_000, description="impressions of one value")
    per: str = Field(description='time, such as "30m", "1d" or "90d", which is the longest')

    @field_validator("per")
    @classmethod
    def _time(cls, per: str) -> str:
        match = re.fullmatch(r"([1-9][0-9]{0,6})([smhd])", per)
        if match is None or int(match[1]) * _UNITS[match[2]] > LONGEST_DAYS * 86_400:
            raise ValueError(f'a number with s, m, h or d is expected, at most "{LONGEST_DAYS}d"')
        return per

    @property
    def seconds(self) -> int:
        """`per` in seconds."""
        return int(self.per[:-1]) * _UNITS[self.per[-1]]


class BudgetRule(_Rule):
    """Money that lasts for the day: what is spent is out, and what runs ahead of its day is throttled."""

    kind: Literal["budget"] = Field(description="money that lasts for the day")
    limit: str = Field(min_length=1, description="column of items: what may be spent a day")
    spent: str = Field(
        min_length=1, description="column of items: what was spent today; patch it as it grows"
    )
    by: str = Field("item_id", min_length=1, description="column whose items share the budget: a campaign")
    curve: tuple[Annotated[float, Field(ge=0, le=1e9)], ...] = Field(
        (1.0,), min_length=1, max_length=1440, description="weights of equal parts of the day, in UTC"
    )
    slack: float = Field(
        0.02, gt=0, le=1, description="share of the budget ahead of plan at which an item is out altogether"
    )

    @property
    def coded(self) -> tuple[str, ...]:
        """See `_Rule`."""
        return (self.by,)

    @property
    def money(self) -> tuple[str, ...]:
        """See `_Rule`."""
        return (self.limit, self.spent)

    @field_validator("curve")
    @classmethod
    def _some(cls, curve: tuple[float, ...]) -> tuple[float, ...]:
        if not sum(curve) > 0:
            raise ValueError("a day without any weight: nothing would ever be spent")
        return curve


Rule: TypeAlias = Annotated[
    AtMostRule | AtLeastRule | PinRule | ReserveRule | BoostRule | ApartRule | CapRule | BudgetRule,
    Field(discriminator="kind"),
]

#: Settings of each kind of rule.
KINDS: dict[str, type[_Rule]] = {
    "at_most": AtMostRule, "at_least": AtLeastRule, "pin": PinRule, "reserve": ReserveRule,
    "boost": BoostRule, "apart": ApartRule, "cap": CapRule, "budget": BudgetRule,
}  # fmt: skip


def ordered(rules: Sequence[Rule]) -> tuple[Rule, ...]:
    """By priority, the last to give way first; equal ones as they are declared."""
    return tuple(sorted(rules, key=lambda rule: -rule.priority))


def check_together(rules: Sequence[Rule], k: int) -> None:
    """Raises: ValueError for rules that contradict one another, or cannot hold in a list of k."""
    labels: dict[str, int] = {}
    for number, rule in enumerate(rules):
        if rule.label in labels:
            raise ValueError(
                f"rules {labels[rule.label]} and {number} are both called {rule.label!r}; "
                "give each a `name` of its own, or keep one"
            )
        labels[rule.label] = number
        if isinstance(rule, AtLeastRule) and rule.n > k:
            raise ValueError(f"rule {rule.label!r} wants {rule.n} items of a list of rerank.k = {k}")
    _check_positions(rules)
    _check_same(rules)


def _check_positions(rules: Sequence[Rule]) -> None:
    taken: dict[tuple[str, Any], str] = {}
    for rule in rules:
        keys: list[tuple[str, Any]] = []
        if isinstance(rule, PinRule):
            keys = [("position", rule.position), ("item", str(rule.item))]
        if isinstance(rule, ReserveRule):
            keys = [("reserved position", position) for position in rule.positions]
        for key in keys:
            if key in taken:
                raise ValueError(
                    f"rules {taken[key]!r} and {rule.label!r} contradict: both want {key[0]} {key[1]}"
                )
            taken[key] = rule.label


def _check_same(rules: Sequence[Rule]) -> None:
    """One limit a column: two that differ are one too many, and the looser one says nothing."""
    taken: dict[Any, str] = {}
    for rule in rules:
        key: Any = None
        if isinstance(rule, AtMostRule):
            key = ("at_most", rule.column, rule.strict)
        if isinstance(rule, CapRule):
            key = ("cap", rule.column, rule.seconds)
        if isinstance(rule, BoostRule) and rule.to is not None:
            key = ("boost", repr(sorted(rule.where.items(), key=lambda pair: pair[0])))
        if key is None:
            continue
        if key in taken:
            raise ValueError(f"rules {taken[key]!r} and {rule.label!r} contradict: keep one of them")
        taken[key] = rule.label
