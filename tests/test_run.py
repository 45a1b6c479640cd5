"""`funnel run`: what runs and what does not, and a run that is killed, crowded out or fed badly."""

from __future__ import annotations

import json
import random
import resource
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from funnel import Live
from funnel.artifacts import Store, signing
from funnel.config import load
from funnel.data import Dataset
from funnel.errors import BundleError
from funnel.gates import Verdict, judge
from funnel.monitoring.thread import config_of
from funnel.pipeline.run import run, steps
from funnel.pipeline.run.journal import Entry, append, entries
from funnel.pipeline.run.lock import only_run
from funnel.pipeline.run.runner import KEEPABLE
from funnel.pipeline.run.steps import STEPS
from funnel.towers.items import ItemEncoder

from .processes import Started, funnel, ok, refused
from .processes import start as started
from .test_cli import CONFIG

NAMES = [step.name for step in STEPS]
#: What gates cannot be asked on data this small, changed this much.
GATES = "baseline_fall = 1.0\n"
GATES += "stage_fall = 1.0\nslice_fall = 1.0\npopularity_rise = 1.0\nreachable_fall = 1.0\nparity = 0.9\n"


@dataclass(frozen=True)
class Place:
    """A folder with data, a config and stores."""

    root: Path

    @property
    def indexes(self) -> Store:
        return Store(self.root / "indexes")

    @property
    def config(self) -> Path:
        return self.root / "movies.toml"

    @property
    def arguments(self) -> list[object]:
        return ["run", self.config, *self.where]

    @property
    def where(self) -> list[object]:
        stores = ["--store", self.indexes.folder, "--embeddings", self.root / "embeddings"]
        return ["--data", "data", *stores]

    def run(self, *more: object) -> dict[str, Any]:
        """What a run did with each step."""
        done = funnel(*self.arguments, "--json", *more, cwd=self.root)
        assert done.returncode == 0, done.stderr
        return {line["step"]: line for line in json.loads(done.stdout)["steps"]}

    def refused(self, *more: object) -> str:
        done = funnel(*self.arguments, *more, cwd=self.root)
        assert done.returncode == 1, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return " ".join(done.stderr.partition("error ")[2].split())

    def change(self, before: str, after: str) -> None:
        text = self.config.read_text()
        assert before in text
        self.config.write_text(text.replace(before, after))

    def table(self, name: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
        path = self.root / "data" / f"{name}.csv"
        change(pd.read_csv(path)).to_csv(path, index=False)


def actions(lines: dict[str, Any]) -> dict[str, list[str]]:
    """The steps of each action."""
    found: dict[str, list[str]] = {}
    for name, line in lines.items():
        found.setdefault(line["action"], []).append(name)
    return found


@pytest.fixture(scope="module")
def first(movies: Path, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """After a first run."""
    place = Place(tmp_path_factory.mktemp("first"))
    shutil.copytree(movies, place.root / "data")
    place.config.write_text(CONFIG + GATES)
    assert actions(place.run()) == {"ran": NAMES}
    return place


@pytest.fixture
def place(first: Place, tmp_path: Path) -> Place:
    """A copy of it, to be changed."""
    shutil.copytree(first.root, tmp_path / "place", copy_function=shutil.copy2)
    return Place(tmp_path / "place")


def test_an_unchanged_run_does_nothing(place: Place) -> None:
    before = {path: path.stat().st_mtime_ns for path in place.root.rglob("*") if path.name != "LOCK"}
    assert actions(place.run()) == {"unchanged": NAMES}
    after = {path: path.stat().st_mtime_ns for path in place.root.rglob("*") if path.name != "LOCK"}
    assert set(before) == set(after)
    assert {path for path in before if path.is_file() and before[path] != after[path]} == set()
    assert f"{place.indexes.current()} is published" in funnel(*place.arguments, cwd=place.root).stdout


def test_deciding_loads_no_torch_and_reads_no_table(place: Place) -> None:
    code = """
import sys
import pandas
def refuse(*_, **__): raise AssertionError("a table was read")
pandas.read_csv = pandas.read_parquet = refuse
sys.argv = ["funnel", *sys.argv[1:]]
from funnel.cli import app
app(standalone_mode=False)
assert "torch" not in sys.modules
"""
    command = [sys.executable, "-c", code, *map(str, place.arguments)]
    done = subprocess.run(command, cwd=place.root, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "unchanged" in done.stdout


def test_the_journal_tells_durations_sizes_and_windows(first: Place) -> None:
    told = entries(first.indexes.folder)
    assert [one.step for one in told if one.event == "ended"] == NAMES
    ended = {one.step: one for one in told if one.event == "ended"}
    assert all(one.seconds > 0 for one in ended.values())
    assert ended["evaluate"].bytes > ended["build"].bytes > 0
    assert ended["evaluate"].output == first.indexes.current()
    windows = ended["validate"].facts["windows"]
    assert windows["towers"][1] < windows["ranker"][0] < windows["test"][0]
    assert ended["ingest"].facts["items"] == 200


def test_towers_do_not_hold_when_they_were_made(first: Place) -> None:
    """Else their version would be another with each run."""
    embeddings = Store(first.root / "embeddings")
    (towers,) = embeddings.versions()
    files = embeddings.verify(towers.version).files
    assert any(path.startswith("training/") for path in files)
    assert not [path for path in files if path.endswith("step.json")]


def test_a_run_makes_the_bundle_that_build_makes(place: Place) -> None:
    version = place.indexes.current()
    other = ["--data", place.root / "data", "--embeddings", place.root / "embeddings"]
    built = json.loads(ok("build", place.config, *other, "--store", place.root / "other", "--json"))
    assert built["version"] == version


def test_only_what_depends_on_a_change_runs_again(place: Place) -> None:
    for path in (place.root / "data").iterdir():
        path.touch()
    planned = place.run("--dry-run")
    assert planned["ingest"]["why"] == "files.movies.csv changed, files.ratings.csv changed"
    assert actions(planned) == {"runs": ["ingest"], "may run": NAMES[1:]}
    assert actions(place.run()) == {"ran": ["ingest"], "unchanged": NAMES[1:]}

    place.change("trees = 30", "trees = 2")
    later = NAMES[NAMES.index("rank") :]
    planned = place.run("--dry-run")
    assert actions(planned) == {"unchanged": NAMES[:5], "runs": ["rank"], "may run": later[1:]}
    assert planned["rank"]["why"] == "ranker.trees 30 → 2"
    before, so_far = place.indexes.current(), begun(place)
    process = start(place)
    wait_for(place, "rank", so_far)
    place.change("trees = 2", "trees = 25")
    done = process.ended()
    assert done.returncode == 0
    assert "was changed while this ran" in " ".join(done.stderr.split())
    assert place.indexes.current() != before
    manifest = place.indexes.verify("current")
    assert manifest.config["ranker"]["trees"] == 2
    assert place.run("--dry-run")["rank"]["why"] == "ranker.trees 2 → 25"


@pytest.mark.parametrize(
    ("section", "why"),
    [
        ('[[rules]]\nkind = "at_most"\ncolumn = "genres"\nn = 3\n', "rules"),
        ('[rank]\nvalue = "p_event * year"\n', "value.value"),
    ],
)
def test_how_lists_are_chosen_is_decided_where_they_are_evaluated(
    place: Place, section: str, why: str
) -> None:
    place.config.write_text(place.config.read_text() + section)
    planned = place.run("--dry-run")
    assert "evaluate" in actions(planned)["runs"]
    assert why in planned["evaluate"]["why"]
    assert "rank" in actions(planned)["unchanged"]


def test_what_counts_while_a_bundle_is_served_is_that_of_the_next_run(place: Place) -> None:
    """Answers are those of before, so that one bundle could be taken for the other; who logs them is not."""
    first, text = place.indexes.current(), place.config.read_text()

    def served() -> tuple[bool, bool]:
        live = Live(place.indexes.folder)
        live.close()
        return live.health()["impressions"]["log"], config_of(live).on

    assert served() == (False, True)
    place.config.write_text(text + "\n[impressions]\nlog = true\n\n[monitor]\non = false\n")
    lines = place.run()
    assert actions(lines) == {"unchanged": NAMES[:-3], "ran": NAMES[-3:]}
    assert lines["evaluate"]["why"] == "impressions.log False → True, monitor.on True → False"
    assert place.indexes.current() != first
    assert served() == (True, False)
    place.config.write_text(text)
    place.run()
    assert served() == (False, True)
    assert place.indexes.current() == first  # of a config that says nothing of them


def test_what_is_published_is_signed_where_there_is_a_key(place: Place) -> None:
    """Also what was published before there was one; and a file that is no key is told before any work."""
    key, config = place.root / "signing.key", place.config.read_text()
    place.config.write_text(config + f'\n[store]\nkey = "{key}"\n')
    assert "funnel sign --new" in refused(*place.arguments)
    public, version = signing.generate(key), place.indexes.current()
    assert actions(place.run()) == {"unchanged": NAMES[:-1], "ran": ["publish"]}
    assert place.indexes.current() == version
    trusting = Store(place.indexes.folder, trust=[public])
    assert trusting.verify("current").version == version
    assert actions(place.run()) == {"unchanged": NAMES}
    place.config.write_text(place.config.read_text().replace("k = 100", "k = 90"))
    place.run()
    assert trusting.verify("current").version == place.indexes.current() != version


def test_from_a_step_on(place: Place) -> None:
    version = place.indexes.current()
    planned = place.run("--from", "gate", "--dry-run")
    assert actions(planned) == {"unchanged": NAMES[:-2], "runs": NAMES[-2:]}
    assert actions(place.run("--from", "gate")) == {"unchanged": NAMES[:-2], "ran": NAMES[-2:]}
    assert place.indexes.current() == version


def test_what_was_rolled_back_stays_so_until_something_changes(place: Place) -> None:
    first = place.indexes.current()
    place.change("leaves = 15", "leaves = 7")
    place.run()
    second = place.indexes.current()
    assert second != first
    place.indexes.rollback()
    assert actions(place.run()) == {"unchanged": NAMES}
    assert place.indexes.current() == first
    shutil.rmtree(place.indexes.path(second))
    assert place.run("--dry-run")["evaluate"]["why"] == f"{second} is not there any more"


def test_an_index_for_new_items_without_training(place: Place) -> None:
    """Two movies are new, one is gone; towers and ranker stay."""
    version = json.loads((next(place.indexes.folder.glob(".runs/movies/export-*")) / "step.json").read_text())
    trained = place.root / "embeddings" / version["output"] / "refit"

    def changed(table: pd.DataFrame) -> pd.DataFrame:
        met = set(pd.read_csv(place.root / "data" / "ratings.csv")["movieId"])
        table = table[table["movieId"] != next(iter(met))]
        new = pd.DataFrame(
            {"movieId": [900, 901], "title": ["New (2020)", "Newer (2021)"], "genres": "Drama"}
        )
        return pd.concat([table, new])

    place.table("movies", changed)
    gone = int(next(iter(set(range(1, 201)) - set(pd.read_csv(place.root / "data/movies.csv")["movieId"]))))
    place.table("ratings", lambda table: table[table["movieId"] != gone])
    lines = place.run("--keep", "train", "--keep", "rank")
    assert actions(lines)["kept"] == ["train", "export", "rank"]
    assert lines["build"]["facts"]["new_items"] == 2
    towers = place.indexes.path("current") / "towers"
    ids, vectors = (np.load(towers / f"item_{part}.npy") for part in ("ids", "vectors"))
    old_ids, old = (np.load(trained / f"item_{part}.npy") for part in ("ids", "vectors"))
    assert set(ids) == set(old_ids) - {gone} | {900, 901}
    stayed = np.isin(ids, old_ids)
    np.testing.assert_array_equal(vectors[stayed], old[np.isin(old_ids, ids)])
    live = Live(place.indexes.folder)
    encoder = ItemEncoder.load(trained)
    assert encoder is not None
    n = len(stayed)
    columns = {name: values[:n][~stayed] for name, values in live.contents.catalogue.features.items()}
    np.testing.assert_allclose(vectors[~stayed], encoder.encode(columns), rtol=1e-5, atol=1e-6)
    assert {item.item_id for item in live.recommend(7, k=201).items} & {900, 901}
    live.close()
    assert actions(place.run("--keep", "train", "--keep", "rank")).keys() == {"unchanged", "kept"}
    assert place.run("--dry-run")["train"]["why"].startswith("ingest ")


def test_training_starts_where_the_last_one_ended(place: Place) -> None:
    before = Store(place.root / "embeddings").versions()[0].version
    place.table("ratings", lambda table: table.drop(index=range(40)))
    lines = place.run("--start-from", "last")
    assert lines["train"]["facts"]["start_from"] == before
    assert actions(place.run("--start-from", "last")) == {"unchanged": NAMES}


def start(place: Place) -> Started:
    return started("-m", "funnel", *place.arguments, cwd=place.root)


def begun(place: Place) -> Counter[str]:
    return Counter(one.step for one in entries(place.indexes.folder) if one.event == "began")


def wait_for(place: Place, step: str, before: Counter[str]) -> None:
    """Until a step has begun once more."""
    deadline = time.monotonic() + 120
    while begun(place)[step] <= before[step]:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_run_that_is_killed_goes_on_from_the_last_whole_step(first: Place, tmp_path: Path) -> None:
    place = Place(tmp_path)
    shutil.copytree(first.root / "data", tmp_path / "data", copy_function=shutil.copy2)
    shutil.copy2(first.config, place.config)
    rng = random.Random(0)
    for step in ("ingest", "train", "export", "rank", "evaluate", "publish"):
        before = begun(place)
        process = start(place)
        wait_for(place, step, before)
        time.sleep(rng.uniform(0, 0.2))
        process.kill()
        for manifest in place.indexes.versions():
            place.indexes.verify(manifest.version)
    place.run()
    ended = Counter(one.step for one in entries(place.indexes.folder) if one.event == "ended")
    assert set(ended) <= set(NAMES)
    # Published, and killed before that was written: the gates judge again, beside what is served now.
    assert {step: n for step, n in ended.items() if n > 1} in ({}, {"gate": 2})
    assert place.indexes.current() == first.indexes.current()
    assert actions(place.run()) == {"unchanged": NAMES}
    assert not [path for path in place.indexes.folder.glob(".runs/movies/*") if "draft" in path.name]


def test_two_runs_at_once(place: Place) -> None:
    with only_run(place.indexes.folder / ".runs", "another"):
        said = place.refused()
    assert "another run is at work there (another, process" in said
    assert actions(place.run()) == {"unchanged": NAMES}


def test_a_full_disk_leaves_nothing_half_written(first: Place, tmp_path: Path) -> None:
    place = Place(tmp_path)
    shutil.copytree(first.root / "data", tmp_path / "data")
    shutil.copy2(first.config, place.config)
    command = [sys.executable, "-m", "funnel", *map(str, place.arguments)]

    def small() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=120, preexec_fn=small
    )
    assert done.returncode == 1
    assert "cannot be written" in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in place.indexes.folder.glob(".runs/movies/*")] == []
    assert [one.event for one in entries(place.indexes.folder)] == ["began", "failed"]


def test_what_was_read_and_is_gone_is_to_be_read_again(first: Place, tmp_path: Path) -> None:
    shutil.copytree(first.root, tmp_path, dirs_exist_ok=True)
    (read,) = (tmp_path / "indexes" / ".runs" / "movies").glob("ingest-*")
    (read / "data").rename(tmp_path / "away")
    said = Place(tmp_path).refused("--from", "rank")
    assert f"{read.relative_to(tmp_path)} is damaged" in said.replace(f"{tmp_path}/", "")
    assert "run again with --from ingest" in said


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            ["--from", "trian"],
            "there is no step 'trian': did you mean 'train'? The steps are ingest, validate",
        ),
        (["--keep", "build"], f"'build' cannot be kept when data change; one of {', '.join(KEEPABLE)} can"),
        (["--keep", "rank", "--from", "build"], "'rank' is to be kept and, from 'build' on, to run again"),
        (["--keep", "train", "--store", "empty"], "there is no result of 'train' to keep"),
        (["--ray", "next door"], "the cluster's address is 'next door'"),
    ],
)
def test_steps_that_there_are_none_of(first: Place, arguments: list[str], expected: str) -> None:
    assert expected in first.refused("--dry-run", *arguments)


def milliseconds(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(timestamp=table["timestamp"] * 1000)


def next_week(table: pd.DataFrame) -> pd.DataFrame:
    table.loc[5, "timestamp"] = int(time.time()) + 7 * 86_400
    return table


def no_number(table: pd.DataFrame) -> pd.DataFrame:
    table = table.astype({"movieId": object})
    table.loc[16, "movieId"] = "seventeen"
    return table


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (no_number, "line 18: movieId must be a whole number, found 'seventeen'"),
        (milliseconds, "events.time, row 0, is 1"),
        (next_week, "check `times`: 1 events are in the future, first that of user"),
        (lambda table: table.head(4000), "check `rows`: change of events, 8,859 to 4,000"),
    ],
)
def test_data_that_cannot_be_taken(
    place: Place, change: Callable[[pd.DataFrame], pd.DataFrame], expected: str
) -> None:
    before = place.indexes.current()
    place.table("ratings", change)
    assert expected in place.refused()
    assert place.indexes.current() == before
    assert entries(place.indexes.folder)[-1].event == "failed"


def test_a_gate_that_failed_is_judged_again_the_next_time(place: Place) -> None:
    before = place.indexes.current()
    place.change("leaves = 15", "leaves = 7")
    place.change("latency_ms = 10000", "latency_ms = 1e-9")
    for _ in range(2):
        said = place.refused()
        assert f"was not published, {before} goes on being served. Failed: latency" in said
    assert begun(place)["evaluate"] == 2  # the first run's and one more
    place.change("latency_ms = 1e-9", "latency_ms = 10000")
    place.run()
    assert place.indexes.current() != before


def test_what_comes_while_tables_are_saved_is_read_the_next_time(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The source has been read whole by then, and is another one when the step ends."""
    save, ratings = Dataset.save, place.root / "data" / "ratings.csv"

    def meanwhile(self: Dataset, folder: Path) -> None:
        save(self, folder)
        with ratings.open("a") as file:
            file.write("1,1,4.0,1031000000\n")

    monkeypatch.chdir(place.root)
    monkeypatch.setattr(Dataset, "save", meanwhile)
    ratings.touch()
    lines = run(load(place.config, data=Path("data")), place.indexes, Store("embeddings")).lines
    assert {line.step for line in lines if line.action == "ran"} == {"ingest"}
    planned = place.run("--dry-run")
    assert planned["ingest"]["why"] == "files.ratings.csv changed"


def test_a_bundle_published_by_hand_while_the_gate_judges_is_judged_beside_the_next_time(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = place.indexes.current()
    about = place.indexes.verify(first)
    with place.indexes.writing("other") as other:
        shutil.copytree(place.indexes.path(first), other.folder, dirs_exist_ok=True)
        (other.folder / "manifest.json").unlink()
        (other.folder / "mark").write_text("x")
        other.describe(towers_fingerprint=about.towers_fingerprint, config=about.config)

    def meanwhile(*arguments: Any) -> Verdict:
        verdict = judge(*arguments)
        place.indexes.publish(other.version)
        return verdict

    place.change("leaves = 15", "leaves = 7")
    monkeypatch.chdir(place.root)
    monkeypatch.setattr(steps, "judge", meanwhile)
    with pytest.raises(BundleError, match="was not when"):
        run(load(place.config, data=Path("data")), place.indexes, Store("embeddings"))
    assert place.indexes.current() == other.version
    lines = place.run()
    assert lines["gate"]["facts"]["beside"] == other.version
    assert place.indexes.current() not in (first, other.version)


def test_half_a_line_in_the_journal_is_passed_over(tmp_path: Path) -> None:
    one = Entry(run="a", at="b", config="c", step="train", event="began")
    append(tmp_path, one)
    with (tmp_path / "RUNS.jsonl").open("a") as file:
        file.write('{"run": "hal')
    append(tmp_path, one)
    assert entries(tmp_path) == [one, one]


def test_a_config_that_is_not_there(tmp_path: Path) -> None:
    assert "nowhere.toml" in refused("run", tmp_path / "nowhere.toml")
