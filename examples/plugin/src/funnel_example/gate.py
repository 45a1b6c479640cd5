"""A gate: lists must reach so many different items."""

from __future__ import annotations

from typing import Any

import funnel


@funnel.register("gate", "different")
def different(case: Any, *, least: int = 10) -> funnel.Finding:
    """How many items stand in somebody's list, of the holdout's requests."""
    found = int((case.figures.shown > 0).sum())
    said = f"{found:,} different items are shown, at least {least:,}"
    return funnel.Finding(gate="different", passed=found >= least, value=found, limit=least, sentence=said)
