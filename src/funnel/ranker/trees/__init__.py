"""LightGBM's trees, compiled: bit vectors that score a whole shortlist at once."""

from funnel.ranker.trees.forest import Forest
from funnel.ranker.trees.kernels import are_within

__all__ = ["Forest", "are_within"]
