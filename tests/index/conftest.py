"""Vectors as towers make them: mixtures of directions, some crowded, of different length."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from funnel.index import ExactIndex, FaissIndex, IndexConfig
from funnel.types import Float32

#: Every kind of index that is promised, and the parameters that each has.
SPECS = {
    "Flat": (),
    "IVF64,Flat": ("nprobe",),
    "IVF32_HNSW16,Flat": ("nprobe",),
    "HNSW16": ("efSearch",),
    "HNSW16,SQ8": ("efSearch", "k_factor"),
    "SQ8": ("k_factor",),
    "PQ16x4fs": ("k_factor",),
    "PQ16x4fs,RFlat": ("k_factor",),
    "IVF64,PQ16x4fs": ("nprobe", "k_factor"),
    "IVF64,PQ16x4fs,RFlat": ("nprobe", "k_factor"),
    "PCA24,IVF64,SQ8,RFlat": ("nprobe", "k_factor"),
}
K, GOAL = 50, 0.95
#: A graph gets no further on inner products of vectors whose lengths differ by a factor of three.
GRAPH_GOAL = 0.85


def mixture(seed: int, n: int, d: int = 32) -> Float32:
    """n vectors around 40 centres of a world that is the same for every seed."""
    world = np.random.default_rng(99)
    centres = world.normal(size=(40, d))
    crowd = world.dirichlet(np.full(40, 0.5))
    rng = np.random.default_rng(seed)
    around = centres[rng.choice(40, size=n, p=crowd)]
    return ((around + 0.4 * rng.normal(size=(n, d))) * rng.uniform(0.5, 1.5, size=(n, 1))).astype(np.float32)


@dataclass(frozen=True)
class World:
    """Items, queries to choose parameters with, and others to judge by."""

    vectors: Float32
    sample: Float32
    queries: Float32

    def build(self, spec: str, **options: int) -> FaissIndex:
        """An index of these items."""
        config = IndexConfig(spec=spec, recall=GOAL, k=K)
        return FaissIndex.build(self.vectors, config, self.sample, towers_fingerprint="towers", **options)


@pytest.fixture(scope="session")
def world() -> World:
    return World(mixture(1, 3000), mixture(2, 150), mixture(3, 150))


@pytest.fixture(scope="session")
def exact(world: World) -> ExactIndex:
    return ExactIndex(world.vectors)


@pytest.fixture(scope="session", params=SPECS)
def index(world: World, request: pytest.FixtureRequest) -> FaissIndex:
    return world.build(request.param)
