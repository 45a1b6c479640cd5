"""The nightly run ends drawing where it does more harm than was stated, and says so once."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from funnel import Live
from funnel.artifacts import Store
from funnel.errors import GateError
from funnel.impressions import ImpressionsConfig
from funnel.pipeline.run import steps
from funnel.pipeline.run.harm import ended_where_harmful
from funnel.serving import switches
from funnel.serving.exploring import EXPLORE, let_go_on_at, may_explore, set_exploring
from tests.experiments.test_evidence import LENIENT
from tests.policies.conftest import exploring, store  # noqa: F401  (fixtures)
from tests.serving.test_reload import without_ranker
from tests.tiny import TinyBuild


def lived(store: Path, of_drawn: float, of_others: float) -> None:  # noqa: F811
    """Users who click on so many of the items."""
    live = Live(store, impressions=ImpressionsConfig(log=True))
    rng = np.random.default_rng(0)
    for answer in live.recommend_many(range(1, 300), k=4):
        rate = of_others if answer.policy is None else of_drawn
        events = [(answer.user_id, item.item_id, None, None, None, answer.id) for item in answer.items]
        if some := [event for event in events if rng.random() < rate]:
            live.observe(*some)
    assert live.recording.flush(30)
    live.close()


def test_harm_ends_drawing_in_every_process_and_the_next_night_passes(
    store: Path,  # noqa: F811
    built: TinyBuild,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(switches, "LOOK", 0.0)
    kept, config = Store(store), built.config
    live = Live(store)
    lived(store, 0.05, 0.9)
    assert live.health()["explore"]["drawn"]
    (finding,) = ended_where_harmful(kept, config)
    assert (finding.gate, finding.passed) == ("harm", False)
    assert "drawing has ended in every process" in finding.sentence
    assert not live.health()["explore"]["drawn"]
    assert "surely less" in live.health()["explore"]["why"]
    assert ended_where_harmful(kept, config) == []
    live.close()


def test_a_first_night_has_nothing_to_end(built: TinyBuild, tmp_path: Path) -> None:
    assert ended_where_harmful(Store(tmp_path), built.config) == []
    (tmp_path / "CURRENT").write_text("gone-000000000000\n")
    assert [one.passed for one in ended_where_harmful(Store(tmp_path), built.config)] == [False]


def test_what_was_seen_before_drawing_was_let_go_on_does_not_end_it_again(
    store: Path,  # noqa: F811
    built: TinyBuild,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lived(store, 0.05, 0.9)
    assert let_go_on_at(store) is None
    assert not ended_where_harmful(Store(store), built.config)[0].passed
    set_exploring(store, on=True, why="")
    since = let_go_on_at(store)
    assert since is not None
    monkeypatch.setattr("funnel.off_policy.harm.let_go_on_at", lambda folder: since + 3600)
    (finding,) = ended_where_harmful(Store(store), built.config)
    assert finding.passed
    assert "too few" in finding.sentence
    assert may_explore(store)


def test_without_harm_it_passes_and_where_nothing_is_drawn_there_is_no_finding(
    store: Path,  # noqa: F811
    built: TinyBuild,
) -> None:
    lived(store, 0.5, 0.5)
    (finding,) = ended_where_harmful(Store(store), built.config)
    assert finding.passed
    assert may_explore(store)
    assert ended_where_harmful(Store(built.indexes), built.config) == []


def test_what_cannot_be_told_fails_and_a_damaged_switch_draws_nothing(
    store: Path,  # noqa: F811
    built: TinyBuild,
) -> None:
    lived(store, 0.5, 0.5)
    (store / "live" / "state.sqlite").write_bytes(b"no database at all, and long enough to look" * 99)
    for left in ("state.sqlite-wal", "state.sqlite-shm"):
        (store / "live" / left).unlink(missing_ok=True)
    (finding,) = ended_where_harmful(Store(store), built.config)
    assert not finding.passed
    assert "cannot be told" in finding.sentence
    (store / EXPLORE).write_text("{")
    assert not may_explore(store)
    assert ended_where_harmful(Store(store), built.config) == []


def test_the_nightly_runs_step_of_gates_refuses_and_ends_it(
    store: Path,  # noqa: F811
    built: TinyBuild,
    tmp_path: Path,
) -> None:
    kept = Store(store)
    before, other = kept.current(), without_ranker(kept)
    lived(store, 0.05, 0.9)
    config = built.config.model_copy(update={"gates": LENIENT})
    run: Any = SimpleNamespace(
        indexes=kept, config=config, results={"evaluate": SimpleNamespace(output=other)}
    )
    with pytest.raises(GateError, match="harm: drawn lists earn"):
        steps._gate(run, SimpleNamespace(folder=tmp_path))  # type: ignore[arg-type]
    assert kept.current() == before
    assert not may_explore(store)
