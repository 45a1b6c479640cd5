"""The ranker's features: one function for training lists and for a live request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from pydantic import Field, model_validator

from funnel import plugins
from funnel.compiling import compiled, frozen, plain
from funnel.errors import ConfigError
from funnel.features.click_rates import ClickRates
from funnel.features.groups import FeatureBatch, FittedContext
from funnel.features.guard import feature
from funnel.features.rates import Rates
from funnel.features.recent import REACH, recent
from funnel.features.spec import Spec
from funnel.features.statistics import Statistics
from funnel.types import Candidates, EventKinds, Features, Float32, Int32, Requests
from funnel.values.nearest import hint
from funnel.vectors import ItemVectors

#: The feature groups that are used where a config says nothing else, in the order of the columns.
STANDARD = (
    "source", "popularity", "covisitation", "transition", "spectral", "affinity", "number_affinity",
    "history", "user", "item", "similarity", "shown",
)  # fmt: skip


class FeaturesConfig(plugins.Optioned):
    """Which candidate features there are: groups ("popularity") or single columns ("popularity.all")."""

    names: tuple[str, ...] = Field(STANDARD, min_length=1, description="feature groups or columns")
    also: tuple[str, ...] = Field((), description="feature groups or columns of plugins, beside these")

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups that are named, each once: funnel's in their order, then others as they are named."""
        named = dict.fromkeys(name.split(".")[0] for name in (*self.names, *self.also))
        return (
            *(name for name in STANDARD if name in named),
            *(name for name in named if name not in STANDARD),
        )

    def beside(self, *groups: str) -> FeaturesConfig:
        """These, and groups that the data give, where the config leaves the choice to funnel."""
        new = tuple(group for group in groups if group not in self.groups)
        return self.model_copy(update={"names": (*self.names, *new)}) if self.names == STANDARD else self

    @model_validator(mode="after")
    def _are_there(self) -> Self:
        plugins.check_options("feature", self.groups, self.options)
        return self


class CandidateFeatures:
    """Computes the features of every candidate of a batch, point in time: nothing after the request counts.

    item_features, item_vectors: first dimension the catalogue's size; item_vectors may be None. sources:
    those whose scores are features. shown: columns of the lists that requests choose from. moment_specs:
    forms of what is known at the moment of a request; rates: of its categories. kinds: of events.
    click_rates: of what was shown. fitted: the item columns that the rarity of a value is taken from
    (default: item_features). Which features there are depends on the data: an order, a clock, columns and
    vectors each bring their own. Raises ConfigError when a named column is not there, none is left, or the
    tables differ in size.
    """

    def __init__(
        self,
        config: FeaturesConfig,
        statistics: Statistics,
        item_features: Features,
        item_vectors: ItemVectors | Float32 | None,
        user_specs: Mapping[str, Spec],
        item_specs: Mapping[str, Spec],
        *,
        sources: Sequence[str] = ("towers", "covisitation", "popular"),
        shown: Sequence[str] = (),
        moment_specs: Mapping[str, Spec] | None = None,
        rates: Mapping[str, Rates] | None = None,
        kinds: EventKinds | None = None,
        click_rates: ClickRates | None = None,
        fitted: Features | None = None,
    ) -> None:
        _check_sizes(statistics.n_items, item_features, item_vectors)
        vectors = None if item_vectors is None else ItemVectors.of(item_vectors)
        context = FittedContext(
            statistics, item_features, item_specs, vectors, user_specs,
            item_features if fitted is None else fitted, tuple(sources), tuple(shown),
            moment_specs or {}, rates or {}, kinds, click_rates,
        )  # fmt: skip
        wanted = config.groups
        self._groups = [feature(name, context, config.options.get(name, {})) for name in wanted]
        columns = [
            f"{name}.{column}"
            for name, group in zip(wanted, self._groups, strict=True)
            for column in group.names
        ]
        self._picked = _picked((*config.names, *config.also), columns)
        self._names = [columns[number] for number in self._picked]
        computed = [group for group in self._groups if group.names]
        self._computed = [group.compute for group in computed]
        picks = [(part, at) for part, group in enumerate(computed) for at in range(len(group.names))]
        self._picks = frozen([picks[number] for number in self._picked], np.int64)
        self._reach, self._n_items = REACH[statistics.clock], statistics.n_items
        self._ordered = statistics.clock != "none"

    @property
    def names(self) -> list[str]:
        """The names of the F columns, in the order of the groups."""
        return list(self._names)

    def refresh(self, rows: Int32) -> None:
        """Take over the item columns of these rows, which were changed in place."""
        for group in self._groups:
            group.refresh(rows)

    def matrix(self, requests: Requests, candidates: Candidates) -> Float32:
        """float32 [B, K, F]; NaN where a value is not known, and everywhere at empty positions.

        Each row depends on its own request only: a batch and single calls give the same bits.
        """
        newest = recent(requests.history, self._reach, self._n_items, ordered=self._ordered)
        batch = FeatureBatch(requests, candidates, plain(candidates.items)[0], newest)
        parts = plain(*[compute(batch) for compute in self._computed])
        matrix: Float32 = _gathered(parts, self._picks)
        return matrix


@compiled
def _gathered(parts: Any, picks: Any) -> Any:
    """picks: int64 [F, 2], the part and the column in it that each feature is."""
    n, k = parts[0].shape[0], parts[0].shape[1]
    out = np.empty((n, k, len(picks)), dtype=np.float32)
    for row in range(n):
        for number in range(len(picks)):
            part, column = parts[picks[number, 0]], picks[number, 1]
            for position in range(k):
                out[row, position, number] = part[row, position, column]
    return out


def _picked(names: Sequence[str], columns: list[str]) -> list[int]:
    """Numbers of the columns that the config names, by themselves or by their group."""
    for name in names:
        if "." in name and name not in columns:
            raise ConfigError(f"features.names: {_unknown(name, columns)}")
    picked = [
        number for number, column in enumerate(columns) if column in names or column.split(".")[0] in names
    ]
    if not picked:
        raise ConfigError(
            f"features.names: {', '.join(names)} give no column on this data; name other groups"
        )
    return picked


def _unknown(name: str, there: list[str]) -> str:
    return f"no feature {name!r}; {hint(name, there)}"


def _check_sizes(n_items: int, item_features: Features, item_vectors: Any) -> None:
    tables = {**item_features, "item_vectors": item_vectors}
    for name, table in tables.items():
        if table is not None and len(table) != n_items:
            raise ConfigError(
                f"{name} has {len(table)} rows, the statistics {n_items} items: they must be of one catalogue"
            )
