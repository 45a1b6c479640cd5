"""Lists come out as at the build, and alone as in a batch, where people get lists of different lengths."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from funnel.artifacts import Store
from funnel.gates import judge
from tests.tiny import TinyBuild


def test_lists_of_different_lengths_are_compared(
    store: Store, built: TinyBuild, towers: Path, rebuild: Callable[..., str]
) -> None:
    """Whoever has seen more gets a shorter list where more items are asked for than there are."""
    few = {"holdout": 100, "latency_ms": 10_000.0, "visible_fall": 0.9}
    version = rebuild(Path(str(built.config.data.path)), towers, rerank={"k": 200}, gates=few)
    found = [one for one in judge(store, version).findings if one.gate == "parity"]
    assert [one.value for one in found] == [1.0, 1.0]
