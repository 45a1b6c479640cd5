"""How well lists do for each kind of event that is to be found, such as clicks and purchases."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from funnel.evaluation.rows import Value
from funnel.evaluation.some import ServedLists
from funnel.settings import Settings


class OfKind(Settings):
    """Figures of the targets of one kind of event alone, in the lists as they are served.

    targets, requests: of this kind, and the requests that have one; means are over those requests. A target
    that was clicked and bought is of both kinds. rows: by row of the report, `ndcg@k`, `recall@k` and
    `recall` of the whole list; empty where there is no such target. chance: of lists in a random order.
    """

    kind: str
    targets: int
    requests: int
    rows: dict[str, dict[str, Value]] = Field(default_factory=dict)
    chance: dict[str, float] = Field(default_factory=dict)

    @property
    def sentence(self) -> str:
        """How many there are, in words."""
        if not self.targets:
            return f"no target is of the kind {self.kind}"
        return f"{self.targets:,} targets of {self.requests:,} requests are of the kind {self.kind}"


def kind_figures(lists: ServedLists, kinds: Sequence[str | None]) -> tuple[OfKind, ...]:
    """What each row's lists do for each kind. kinds: the name of each code; None for one that is no target's.

    None where the targets are of one kind.
    """
    if lists.examples.target_kinds is None:
        return ()
    return tuple(
        OfKind(kind=name, **lists.of(lists.examples.has_kind(code)))
        for code, name in enumerate(kinds)
        if name is not None
    )
