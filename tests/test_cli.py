"""The commands: what they print, and that a user's mistake is a message and never a traceback."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from funnel import Live
from funnel.service.keys import Keys
from tests.processes import STEP, funnel, ok, python, refused
from tests.tiny import TinyBuild

CONFIG = """
name = "movies"
[data]
reader = "movielens"
[split]
kind = "time"
protocol = "event"
ranker = 0.6
test = 0.8
max_requests = 500
[towers]
d = 16
layers = 1
heads = 1
epochs = 2
history = 20
[ranker]
trees = 30
leaves = 15
lists = 300
[retrieve]
sources = ["towers", "popular"]  # so that the ranker has something to add in a world this small
k = 100
[evaluate]
ks = [10, 50]
latency_requests = 5
[gates]
latency_ms = 10000
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("config") / "movies.toml"
    path.write_text(CONFIG)
    return path


def test_every_command_in_turn(config: Path, movies: Path, tmp_path: Path) -> None:
    where = ("--data", movies)
    embeddings, store = ("--embeddings", tmp_path / "embeddings"), ("--store", tmp_path / "indexes")

    profile = json.loads(ok("data", "profile", config, *where, "--json", "--page", tmp_path / "profile.html"))
    assert profile
    assert (tmp_path / "profile.html").stat().st_size > 10_000

    done = funnel("train", config, *where, *embeddings, "--json")
    trained = json.loads(done.stdout)
    said = _steps(done.stderr)
    assert [line for line in said if line.startswith("epoch ")]
    steps = ["read and split the data", "train the towers", "go on training the towers, for the test window"]
    assert [line.split(":")[0] for line in said if line[-2:] == " s" and "epoch" not in line] == [
        *steps, "export the towers",
    ]  # fmt: skip
    assert Path(trained["folder"], "query_tower.onnx").is_file()
    again = json.loads(ok("train", config, *where, *embeddings, "--json"))
    assert again == trained

    done = funnel("build", config, *where, *embeddings, *store, "--json")
    made = json.loads(done.stdout)
    steps = [line.split(":")[0] for line in _steps(done.stderr)]
    assert steps[:2] == ["read and split the data", "index the items"]
    assert {"choose the retrieval order", "make the ranker's lists", "evaluate", "write the report"} <= {
        *steps
    }
    assert {row["name"] for row in made["report"]["rows"]} >= {"popular", "exact", "retrieve", "rerank"}
    assert "nothing is published" in refused("recommend", 7, *store)

    assert json.loads(ok("publish", *store, "--json"))["published"] == made["version"]
    answer = json.loads(ok("recommend", 7, "-k", 3, *store, "--json", "--explain"))
    assert len(answer["items"]) == 3

    report = json.loads(ok("evaluate", config, *where, *store, "--output", tmp_path / "report", "--json"))
    assert _figures(report) == _figures(made["report"])
    assert (tmp_path / "report" / "report.html").is_file()

    timed = json.loads(ok("bench", *store, "--requests", 20, "--json"))
    assert timed["throughput"] > 0
    assert json.loads(ok("inspect", *store, "--json"))["version"] == made["version"]


def _steps(stderr: str) -> list[str]:
    """What a command that no terminal shows says of its steps, a line each, without the moment."""
    lines = stderr.splitlines()
    assert all(re.fullmatch(STEP.pattern + r".+: .*\d+\.\d s", line) for line in lines), stderr
    return [STEP.sub("", line) for line in lines]


def _figures(report: dict[str, Any]) -> dict[str, Any]:
    return {row["name"]: row["metrics"] for row in report["rows"]}


def test_tables_for_people(built: TinyBuild) -> None:
    store = ("--store", built.indexes)
    assert "Movie " in ok("recommend", 7, *store, "--where", "genres=Comedy")
    assert "Movie " in ok("recommend", 7, *store, "--where", "year=1995", "--where", "year=1996")
    whole = json.dumps({"or": [{"year": {"lt": 1990}}, {"genres": "Comedy"}]})
    both = json.loads(ok("recommend", 7, *store, "--where", whole, "--where", "genres=Drama", "--json"))
    for item in both["items"]:
        attributes = item["attributes"]
        assert "Drama" in attributes["genres"]
        assert attributes["year"] < 1990 or "Comedy" in attributes["genres"]
    assert "no JSON" in refused("recommend", 7, *store, "--where", "{genres: Comedy}")
    assert "unknown_user" in ok("recommend", "nobody", *store)
    ranked = json.loads(ok("rank", 7, "--items", "5, 9,x", *store, "--json", "--explain"))
    assert {item["item_id"] for item in ranked["items"]} == {5, 9}
    assert ranked["reasons"] == ["unknown_item:'x'"]
    assert sum(ranked["explained"].values()) == pytest.approx(ranked["items"][0]["score"], abs=1e-4)
    near = json.loads(ok("similar", 5, "-k", 3, *store, "--json"))
    assert len(near["items"]) == 3
    assert 5 not in [item["item_id"] for item in near["items"]]
    everything = json.loads(ok("recommend", 7, "-k", 200, "--seen", "allow", *store, "--json"))
    assert len(everything["items"]) == 200
    assert "seen is 'no'" in refused("recommend", 7, "--seen", "no", *store)
    given = ok("recommend", 7, *store, "--history", "1,2,99999")
    assert "unknown_items_in_history" in given
    assert "latest interactions: Movie 1, Movie 2, 99999" in given
    assert "similar to Movie 5" in ok("similar", 5, "-k", 3, *store)
    assert built.built.version in ok("inspect", *store)
    assert "whole funnel" in ok("bench", *store, "--requests", 10)


def test_a_config_typo_names_the_nearest_key(config: Path, movies: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "typo.toml"
    wrong.write_text(config.read_text().replace("epochs", "epoch"))
    assert "unknown key 'towers.epoch'; did you mean 'epochs'?" in refused("train", wrong, "--data", movies)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("", "'name' is missing"),
        ('name = "a"\n[data]\nreader = "movilens"', "data.reader"),
        ('name = "a"\n[data]\nreader = "movielens"\n[split]\nranker = 0.9\ntest = 0.5', "split"),
        ("name = ", "not TOML"),
        ('name = "a/b"\n[data]\nreader = "movielens"', "name"),
    ],
)
def test_a_config_that_is_wrong(change: str, expected: str, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(change)
    assert expected in refused("train", wrong)


def test_what_is_not_there(config: Path, built: TinyBuild, tmp_path: Path) -> None:
    store = ("--store", built.indexes)
    assert "nowhere.toml" in refused("train", tmp_path / "nowhere.toml")
    assert "nowhere" in refused("train", config, "--data", tmp_path / "nowhere")
    assert "no-such-version" in refused("publish", "no-such-version", *store)
    assert "nothing" in refused("publish", "--store", tmp_path / "nothing")
    assert "no such item column" in refused("recommend", 7, *store, "--where", "colour=red")
    assert "column=value" in refused("recommend", 7, *store, "--where", "genres")
    assert "k is 0" in refused("recommend", 7, *store, "-k", 0)


def test_an_interrupt_within_compiled_code_is_an_interrupt() -> None:
    """Where it is noticed at the end of a call, Python makes it the cause of an error of its own."""
    code = (
        "from funnel import cli\n"
        "def app():\n"
        "    raise SystemError('returned a result with an exception set') from {cause}\n"
        "cli.app = app\n"
        "cli.main()"
    )
    done = python("-c", code.format(cause="KeyboardInterrupt()"))
    assert (done.returncode, done.stderr) == (130, "")
    assert "SystemError" in python("-c", code.format(cause="ValueError()")).stderr


def test_mistyped_commands_exit_with_2() -> None:
    assert funnel("no-such-command").returncode == 2
    assert funnel("recommend").returncode == 2


def test_the_store(built: TinyBuild, tmp_path: Path) -> None:
    shutil.copytree(built.indexes, tmp_path / "indexes")
    store, version = ("--store", tmp_path / "indexes"), built.built.version
    listed = json.loads(ok("bundles", *store, "--json"))
    assert [(one["version"], one["is"]) for one in listed["bundles"]] == [(version, "current")]
    assert [one["version"] for one in listed["publications"]] == [version]
    assert "current" in ok("bundles", *store)
    assert "nothing that is still there was published before" in refused("rollback", *store)
    assert json.loads(ok("verify", *store, "--json")) == {"verified": version}
    judged = json.loads(ok("verify", "--holdout", *store, "--json"))
    assert {one["gate"] for one in judged["findings"]} >= {"stages", "parity", "latency"}
    assert judged["figures"]["rerank ndcg@10"] > 0
    assert "100.0% of the first 10 are shared" in ok("diff", "current", version, *store)
    assert json.loads(ok("push", tmp_path / "remote", *store, "--json"))["pushed"] == version
    assert version in ok("pull", tmp_path / "remote", "--store", tmp_path / "other")
    assert json.loads(ok("recommend", 7, "--store", tmp_path / "other", "--json"))["version"] == version


def test_a_line_with_a_path_is_the_path_as_it_is(built: TinyBuild, tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 120) / "[/bold] :smile:"
    said = ok("push", folder, "--store", built.indexes)
    assert said == f"pushed {Live(built.indexes).version} to {folder}\n"


def test_a_key_is_printed_whatever_its_name_and_whatever_becomes_of_stderr(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    tokens = [ok("keys", "add", name, "--keys", path).strip() for name in ("[/x]", "ops [eu]")]
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "funnel", "keys", "add", "unheard", "--keys", str(path)]
        tokens.append(
            subprocess.run(command, stdout=subprocess.PIPE, stderr=full, check=True, text=True).stdout
        )
    names = [found.name for token in tokens if (found := Keys(path).identity(token.strip()))]
    assert names == ["[/x]", "ops [eu]", "unheard"]
    listed = ok("keys", "list", "--keys", path)
    assert all(name in listed for name in ("[/x]", "ops [eu]", "unheard"))


def test_what_is_not_finite_is_null_in_json(built: TinyBuild, tmp_path: Path) -> None:
    store = Path(shutil.copytree(built.indexes, tmp_path / "indexes"))
    live = Live(store)
    odd = {"item_id": [1000, 1001, 1002], "title": "x", "genres": [["Odd"]] * 3}
    live.items.upsert(pd.DataFrame({**odd, "year": [np.inf, -np.inf, np.nan]}))
    live.close()
    text = ok("recommend", "nobody", "-k", 5, "--where", "genres=Odd", "--store", store, "--json")
    found = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert {item["item_id"]: item["attributes"]["year"] for item in found["items"]} == {
        1000: None, 1001: None, 1002: None,
    }  # fmt: skip


def test_everyones_lists(built: TinyBuild, tmp_path: Path) -> None:
    output = tmp_path / "recs.parquet"
    told = json.loads(
        ok("recommend", "--all", "--output", output, "-k", 3, "--store", built.indexes, "--json")
    )
    assert told["users"] == 300
    assert len(pd.read_parquet(output)) == 900
    for arguments in (["--all"], ["7", "--all", "--output", output], ["--output", output], []):
        done = funnel("recommend", *arguments, "--store", built.indexes)
        assert done.returncode == 2
        assert "give a user id, or --all and --output FILE" in " ".join(done.stderr.replace("│", " ").split())


def test_everyones_lists_keep_to_the_filter_and_k(built: TinyBuild, tmp_path: Path) -> None:
    output, store = tmp_path / "recs.csv", ("--store", built.indexes)
    ok("recommend", "--all", "--output", output, "-k", 4, "--where", "genres=Comedy", *store)
    found = pd.read_csv(output)
    assert list(found.columns) == ["user_id", "rank", "item_id", "score"]
    comedies = built.prepared.dataset.items.set_index("item_id")["genres"].map(lambda many: "Comedy" in many)
    assert comedies[found["item_id"]].all()
    one = json.loads(ok("recommend", 7, "-k", 4, "--where", "genres=Comedy", *store, "--json"))
    assert found[found["user_id"] == 7]["item_id"].tolist() == [item["item_id"] for item in one["items"]]

    ok("recommend", "--all", "--output", output, "-k", 4, *store)  # another filter: parts are made anew
    assert not comedies[pd.read_csv(output)["item_id"]].all()


def test_what_cannot_be_done_for_everyone_leaves_no_file(built: TinyBuild, tmp_path: Path) -> None:
    everyone = ["recommend", "--all", "--store", built.indexes, "--output"]
    for name, more in (("a.parquet", ["--history", "1,2"]), ("b.parquet", ["--explain"])):
        done = funnel(*everyone, tmp_path / name, *more)
        assert done.returncode == 2
        assert more[0] in done.stderr
    assert "no such item column" in refused(*everyone, tmp_path / "c.parquet", "--where", "colour=red")
    assert ".parquet or .csv" in refused(*everyone, tmp_path / "d.txt")
    assert "k is 0" in refused(*everyone, tmp_path / "e.parquet", "-k", 0)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "f.csv").mkdir()
    assert "f.csv is a folder" in refused(*everyone, tmp_path / "f.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["f.csv"]


def test_what_is_logged_is_not_obeyed_by_the_terminal() -> None:
    code = (
        "import logging; from funnel import cli; "
        r"cli.app = lambda: logging.getLogger('funnel').warning('%s', 'a \x1b[2J \u202e [bold]b[/]\nc'); "
        "cli.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert r"a \x1b[2J \u202e [bold]b[/]" in done.stderr
    assert "c" in done.stderr.splitlines()[1]


def test_what_a_dry_run_would_not_use_is_refused(config: Path, movies: Path) -> None:
    done = funnel("run", config, "--data", movies, "--dry-run", "--start-from", "last")
    assert done.returncode == 2
    assert "--start-from" in done.stderr


def test_a_gate_that_fails(built: TinyBuild, config: Path, tmp_path: Path) -> None:
    shutil.copytree(built.indexes, tmp_path / "indexes")
    store, version = ("--store", tmp_path / "indexes"), built.built.version
    strict = tmp_path / "strict.toml"
    strict.write_text(config.read_text().replace("latency_ms = 10000", "latency_ms = 1e-9"))
    said = refused("publish", version, *store, "--config", strict)
    assert (
        f"{version} was not published, {version} goes on being served. Failed: latency: ms a request" in said
    )
    done = funnel("publish", *store, "--config", strict, "--json")
    assert done.returncode == 1
    assert [one["gate"] for one in json.loads(done.stdout)["findings"] if not one["passed"]] == ["latency"]
    assert json.loads(ok("publish", *store, "--config", strict, "--force", "--json"))["published"] == version


def test_tune_finds_an_index_for_the_bundle(built: TinyBuild, tmp_path: Path) -> None:
    store = ("--store", built.indexes, "--queries", 20)
    picture = tmp_path / "frontier.png"
    found = json.loads(ok("tune", *store, "-k", 20, "--recall", 0.9, "--plot", picture, "--json"))
    assert found["chosen"]["recall"] >= 0.9
    assert found["best"]
    assert f'spec = "{found["chosen"]["spec"]}"' in found["advice"]
    assert picture.read_bytes()[:4] == b"\x89PNG"

    shown = ok("tune", *store, "--spec", "Flat", "--spec", "HNSW8", "-k", 999_999)
    assert "recall@200" in shown  # all there are
    assert "[index]" in shown


def test_what_tune_refuses(built: TinyBuild, tmp_path: Path) -> None:
    store = ("--store", built.indexes, "--queries", 5)
    assert "'Nonsense'" in refused("tune", *store, "--spec", "Nonsense")
    assert ".png" in refused("tune", *store, "--plot", tmp_path / "f.jpg")
    for option in (("--recall", 2), ("--seed", -1), ("-k", 0)):
        done = funnel("tune", *store, *option)
        assert done.returncode == 2
        assert option[0] in done.stderr
