"""A store's own log says what other lists would have earned, and what it cannot say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from funnel import Live
from funnel.artifacts import Store
from funnel.bundle.contents import load_contents
from funnel.cli import app
from funnel.errors import FunnelError
from funnel.impressions import ImpressionsConfig, answers_folder
from funnel.off_policy.judged import OtherBundle, OtherPolicy, certain
from funnel.off_policy.replay import Replay, Reward, replay
from funnel.policies import Drawing
from funnel.serving.state import open_state
from tests.policies.conftest import exploring, store  # noqa: F401  (fixtures)

USERS, EACH, K = 120, 12, 3


def likes(user: int, item: int) -> float:
    """How often a user clicks an item that stands first; each position below is looked at half as often."""
    return ((user * 7 + item * 13) % 10) / 10


def live_through(store: Path, *, sample: float = 1.0) -> float:  # noqa: F811
    """Answers and clicks; what the lists that are not drawn would have earned each, on average."""
    live = Live(store, impressions=ImpressionsConfig(log=True, sample=sample, candidates=200))
    rng, greedy = np.random.default_rng(0), []
    for user in range(1, USERS + 1):
        for _ in range(EACH):
            answer = live.recommend(user, k=K)
            for position, item in enumerate(answer.items):
                if rng.random() < likes(user, item.item_id) / 2**position:
                    live.observe((user, item.item_id, None, None, None, answer.id))
        if answer.policy is not None:
            best = live.recommend(user, k=K, seed=-1)
            greedy.append(sum(likes(user, item.item_id) / 2**at for at, item in enumerate(best.items)))
            assert best.policy is None
    assert live.recording.flush(30)
    live.close()
    return float(np.mean(greedy))


def replayed(folder: Path, drawing: Drawing | None, **options: object) -> Replay:
    contents = load_contents(Store(folder).path("current"))
    judged = OtherPolicy({"rerank": contents.rerank, "rules": contents.rules}, drawing)
    state = open_state(folder / "live" / "state.sqlite")
    return replay(Store(folder), judged, answers_folder(folder), state, floor=20, **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def lived(exploring: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:  # noqa: F811
    """A store with a log, and what its greedy lists earn."""
    import shutil

    folder = tmp_path_factory.mktemp("lived") / "indexes"
    shutil.copytree(exploring, folder)
    return folder, live_through(folder)


def test_the_greedy_list_is_told_from_drawn_ones(lived: tuple[Path, float]) -> None:
    folder, truth = lived
    found = replayed(folder, None, estimators=("snips", "snrips", "ips", "rips"))
    assert found.agree == 1.0
    assert found.left_out["not drawn"] > 0
    assert found.lists > 60 * EACH
    for one in found.estimates:
        assert one.value is not None, one.refused
        assert one.lo is not None
        assert one.hi is not None
        wide = (one.hi - one.lo) / 2
        assert abs(one.value - truth) < 2 * wide, one.estimator


def test_the_logged_policy_itself_earns_what_was_earned(lived: tuple[Path, float]) -> None:
    folder, _ = lived
    contents = load_contents(Store(folder).path("current"))
    found = replayed(folder, contents.explore)
    for one in found.estimates:
        assert one.value == pytest.approx(found.earned.value, rel=1e-5)
        assert one.effective == pytest.approx(found.lists, rel=1e-3)


def test_what_counts_may_be_said(lived: tuple[Path, float]) -> None:
    folder, _ = lived
    clicks = replayed(folder, None, reward=Reward("interaction"))
    assert clicks.earned.value == replayed(folder, None).earned.value
    assert replayed(folder, None, reward=Reward("purchase")).earned.value == 0


def test_another_bundle_answers_again(lived: tuple[Path, float]) -> None:
    """The same bundle as another one: its policy is the one that drew the lists."""
    folder, _ = lived
    other = OtherBundle(load_contents(Store(folder).path("current")))
    state = open_state(folder / "live" / "state.sqlite")
    found = replay(Store(folder), other, answers_folder(folder), state)
    for one in found.estimates:
        assert one.value == pytest.approx(found.earned.value, rel=1e-3)
        assert one.effective == pytest.approx(found.lists, rel=1e-2)


def test_the_command(lived: tuple[Path, float], tmp_path: Path) -> None:
    folder, _ = lived
    config = tmp_path / "judged.toml"
    config.write_text(
        'name = "movies"\n[data]\nreader = "movielens"\npath = "."\n[rerank]\ntrade_off = 0.7\n'
        '[[rules]]\nkind = "at_most"\ncolumn = "genres"\nn = 3\nstrict = true\n'
    )
    arguments = ["replay", str(config), "--store", str(folder), "--floor", "20"]
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    known = json.loads(result.stdout)
    assert known["agree"] == 1.0
    assert [one["estimator"] for one in known["estimates"]] == ["snips", "snrips"]
    assert "as it was" in CliRunner().invoke(app, arguments).stdout


def test_a_log_without_chance_is_refused(store: Path) -> None:  # noqa: F811
    live = Live(store, impressions=ImpressionsConfig(log=True))
    for user in range(1, 20):
        live.recommend(user, k=K, seed=-1)
    assert live.recording.flush(30)
    live.close()
    with pytest.raises(FunnelError, match="19 not drawn"):
        replayed(store, None)


def test_a_log_that_holds_too_few_candidates_is_refused(store: Path) -> None:  # noqa: F811
    live = Live(store, impressions=ImpressionsConfig(log=True, candidates=5))
    for user in range(1, 40):
        live.recommend(user, k=K)
    assert live.recording.flush(30)
    live.close()
    with pytest.raises(FunnelError, match="do not come out again"):
        replayed(store, None)


def test_a_list_that_is_certain() -> None:
    shown = np.array([[1, 2, 3], [1, 2, 3], [1, 2, 3], [1, 2, -1]], dtype=np.int32)
    lists = np.array([[1, 2, 3], [1, 3, 2], [1, 2, -1], [1, 2, -1]], dtype=np.int32)
    assert certain(shown, lists).tolist() == [[1, 1, 1], [1, 0, 0], [0, 0, 0], [1, 1, 1]]
