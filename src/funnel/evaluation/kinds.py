"""How well lists do for each kind of event that is to be found, such as clicks and purchases."""

from __future__ import annotations

from collections.abc import Sequence

from funnel.evaluation.some import OfSome, ServedLists


class OfKind(OfSome):
    """Figures of the targets of one kind of event alone. A target that was clicked and bought is of both."""

    kind: str

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
