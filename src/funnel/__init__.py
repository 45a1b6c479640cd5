"""Multi-stage ranking: retrieve, filter, rank, re-rank, and measure each step.

live = funnel.Live("indexes/")
answer = live.recommend(user_id, k=10)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from funnel.serving.live import Live

__all__ = ["Live"]


def __getattr__(name: str) -> Any:
    """`funnel.Live`, loaded when it is first asked for: `import funnel` alone stays cheap."""
    if name == "Live":
        from funnel.serving.live import Live

        return Live
    raise AttributeError(f"module 'funnel' has no attribute {name!r}")
