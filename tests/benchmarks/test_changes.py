"""The benchmark of what a change costs, small: everything is timed, beside another funnel too."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import changes_world
from benchmarks.changes import HERE, main


def test_every_kind_of_change_is_timed_beside_another_funnel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes_world, "ADS", 200)
    monkeypatch.setattr(changes_world, "USERS", 200)
    main(
        items=[2_500], events=[100, 200], calls=5, batch=100, seconds=0.3,
        earlier=HERE / "src", work=tmp_path, results=tmp_path,
    )  # fmt: skip
    about = json.loads((tmp_path / "changes.json").read_text())
    by_source = about["items"]["2500"]
    assert set(by_source) == {"now", "earlier"}
    for found in by_source.values():
        assert found["items"] == 2_500
        for kind in ("upsert of one that is there", "upsert of a new one", "delete", "patch"):
            assert {found[kind][what]["n"] for what in ("change", "filtered", "request")} == {5}
        assert found["patches"]["items_per_second"] > 0
    for found in about["clicks"].values():
        assert found["200"]["alone"]["n"] == 50
        assert found["200"]["reader"]["n"] > 0
    assert str(tmp_path) not in json.dumps(about)
