"""What a gate is, and the bundle that it judges."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from funnel.artifacts import Store
from funnel.bundle.contents import Contents
from funnel.gates.config import GatesConfig
from funnel.gates.figures import Figures
from funnel.gates.findings import Finding
from funnel.gates.judged import Judged
from funnel.types import Examples


@dataclass(frozen=True)
class Case:
    """A bundle that is judged.

    new: the bundle, with its manifest, schema and holdout. published: the one in use, None where there
    is none or it cannot be read. figures: of the new one on its holdout. config: thresholds.
    """

    store: Store
    new: Judged
    published: Judged | None
    figures: Figures
    config: GatesConfig

    @property
    def contents(self) -> Contents:
        """The new bundle's parts."""
        return self.new.contents

    @property
    def examples(self) -> Examples:
        """The holdout: requests, and what happened next."""
        return self.new.holdout.examples

    @property
    def seed(self) -> int:
        """Of all that is drawn."""
        return self.new.seed


class Gate(Protocol):
    """Looks at a bundle before it is published: `@register("gate", NAME)`.

    A config names it in `gates.also`; keyword-only arguments are options. One that raises fails.
    """

    def __call__(self, case: Case, /) -> Finding | Iterable[Finding]:
        """The findings, one or several. case: see `Case`."""
