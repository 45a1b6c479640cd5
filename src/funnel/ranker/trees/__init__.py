"""LightGBM's trees, compiled: bit vectors that score a whole shortlist at once."""

from funnel.ranker.trees.forest import Forest

__all__ = ["Forest"]
