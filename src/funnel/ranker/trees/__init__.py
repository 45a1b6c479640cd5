"""LightGBM's trees, compiled: bit vectors that answer a whole shortlist at once."""

from funnel.ranker.trees.forest import Forest

__all__ = ["Forest"]
