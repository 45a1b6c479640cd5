"""A policy is an arm: some users' lists are drawn, on a bundle that draws none."""

from __future__ import annotations

import shutil
from pathlib import Path

from funnel import Live
from funnel.artifacts import Store
from funnel.experiments.config import ExperimentConfig
from funnel.experiments.running import start
from tests.tiny import TinyBuild


def test_users_of_one_arm_get_drawn_lists(built: TinyBuild, tmp_path: Path) -> None:
    shutil.copytree(built.indexes, tmp_path / "indexes")
    explore = {"temperature": 0.3, "epsilon": 0.05, "top": 20}
    arms = {"greedy": {"share": 0.5}, "drawn": {"share": 0.5, "explore": explore}}
    start(Store(tmp_path / "indexes"), "policies", ExperimentConfig.model_validate({"arms": arms}))
    live = Live(tmp_path / "indexes")
    drawn = {user: live.recommend(user, k=5) for user in range(1, 41)}
    assert {answer.arms["policies"] for answer in drawn.values()} == {"greedy", "drawn"}
    for answer in drawn.values():
        if answer.arms["policies"] == "greedy":
            assert answer.policy is None
        else:
            assert answer.policy is not None
            assert (answer.policy.temperature, answer.policy.top) == (0.3, 20)
            assert any(item.propensity < 1 for item in answer.items)
    live.close()
