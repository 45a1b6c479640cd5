"""The benchmark of starting, small."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import starting
from tests.tiny import TinyBuild


def test_each_funnel_starts_in_processes_of_its_own(
    built: TinyBuild, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    package = tmp_path / "earlier" / "funnel"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(
        "from pathlib import Path\n"
        "class Live:\n"
        "    def __init__(self, store): pass\n"
        "    def recommend(self, user):\n"
        "        with Path(__file__).with_name('starts').open('a') as file: file.write(user + '\\n')\n"
    )
    compiled_in: list[Path] = []
    monkeypatch.setattr(
        starting, "cold", lambda source, _: compiled_in.append(source) or {"import": 1.0, "all": 9.0}
    )
    starting.main(built.indexes, starts=1, cold_starts=1, earlier=tmp_path / "earlier", results=tmp_path)
    (path,) = tmp_path.glob("starting-*.json")
    found = json.loads(path.read_text())
    assert path.stem == f"starting-{found['items']}"
    assert (package / "starts").read_text().split() == ["somebody"] * 2  # one that does not count
    now, earlier = found["seconds"]["now"], found["seconds"]["earlier"]
    assert now["all"] == pytest.approx(now["import"] + now["open"] + now["answer"], rel=0.3)
    assert now["all"] > earlier["all"] > 0
    assert found["now_by_earlier"] > 1
    assert compiled_in == [starting.SOURCE, tmp_path / "earlier"]
    assert found["seconds"]["cold"]["all"] == found["seconds"]["cold, earlier"]["all"] == 9.0
    assert "cold" in capsys.readouterr().out


def test_the_middle_of_each_step() -> None:
    assert starting.medians(
        [{"open": 1.0, "all": 5.0}, {"open": 3.0, "all": 4.0}, {"open": 2.0, "all": 9.0}]
    ) == {
        "open": 2.0,
        "all": 5.0,
    }


def test_a_cold_start_compiles(built: TinyBuild) -> None:
    warm = starting.start(starting.SOURCE, built.indexes)["all"]
    assert starting.cold(starting.SOURCE, built.indexes)["all"] > warm
