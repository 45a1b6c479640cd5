"""`funnel tune` as a function: a bundle's own vectors and users, its own goal."""

from __future__ import annotations

from pathlib import Path

import pytest

from funnel import tune
from funnel.errors import ConfigError, FunnelError
from funnel.serving.live import Live
from tests.tiny import TinyBuild


def test_the_goal_is_the_bundles_own(built: TinyBuild) -> None:
    contents = Live(built.indexes).contents
    found = tune.tune(contents, specs=["Flat"], queries=10)
    assert (found.k, found.goal, found.queries) == (len(contents.catalogue.ids), 0.98, 10)
    assert 'spec = "Flat"' in tune.advice(found)
    assert tune.tune(contents, specs=["Flat"], queries=10_000).queries == len(contents.users.ids)


def test_the_same_seed_measures_the_same_recall(built: TinyBuild) -> None:
    contents = Live(built.indexes).contents
    first, second = (tune.tune(contents, specs=["IVF8,PQ16x4fs"], k=20, queries=30, seed=3) for _ in range(2))
    assert [(p.params, p.recall) for p in first.points] == [(p.params, p.recall) for p in second.points]


def test_a_goal_out_of_reach_names_the_best(built: TinyBuild) -> None:
    contents = Live(built.indexes).contents
    found = tune.tune(contents, specs=["HNSW2"], k=50, recall=1, queries=50)
    assert found.chosen is None
    best = max(found.points, key=lambda p: p.recall)
    assert f"the best is HNSW2 with {best.recall:.4f}" in tune.advice(found)
    assert tune.as_json(found)["chosen"] is None


def test_pictures(built: TinyBuild, tmp_path: Path) -> None:
    found = tune.tune(Live(built.indexes).contents, specs=["Flat", "IVF8,Flat"], k=20, queries=5)
    tune.draw(found, tmp_path / "frontier.svg")
    assert "IVF8,Flat" in (tmp_path / "frontier.svg").read_text()
    for bad in ("frontier.jpg", "nowhere/frontier.png"):
        with pytest.raises(ConfigError, match=r"\.png"):
            tune.draw(found, tmp_path / bad)


def test_what_is_refused(built: TinyBuild) -> None:
    contents = Live(built.indexes).contents
    with pytest.raises(ConfigError, match="goal"):
        tune.tune(contents, recall=2)
    with pytest.raises(FunnelError, match="k is 0"):
        tune.tune(contents, k=0)
