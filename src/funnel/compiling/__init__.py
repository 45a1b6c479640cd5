"""Compiled functions, and where their machine code is kept."""

from funnel.compiling.arrays import frozen, plain
from funnel.compiling.functions import compiled, kernels, without_collection
from funnel.compiling.kept import own_cache

__all__ = ["compiled", "frozen", "kernels", "own_cache", "plain", "without_collection"]
