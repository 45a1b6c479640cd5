"""Which item a position gets by chance, and with what chance: lists that are drawn inside the greedy
re-rank."""

from funnel.policies.config import Drawing, ExploreConfig
from funnel.policies.draw import Draw

__all__ = ["Draw", "Drawing", "ExploreConfig"]
