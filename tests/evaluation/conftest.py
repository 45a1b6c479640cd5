"""The stub world and its report, made once."""

from __future__ import annotations

import pytest
from stub_world import World, measured

from funnel.evaluation import Report


@pytest.fixture(scope="session")
def world() -> World:
    return World.make(users=300, items=400, seed=3)


@pytest.fixture(scope="session")
def report(world: World) -> Report:
    return measured(world)
