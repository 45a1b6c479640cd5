"""`funnel init`, and the way from a shop's export to an answer in two commands."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from funnel import Live
from funnel import config as configs
from tests.processes import funnel

from .shops import Shop, shop

SMALL = """
[towers]
d = 16
layers = 1
heads = 1
epochs = 2
history = 10

[ranker]
trees = 20
objective = "rank_xendcg"

[evaluate]
ks = [10]
latency_requests = 3
"""

#: A test never asserts a time.
OPEN = "latency_ms = 10000.0\n"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder to work in, with an export."""
    shop().write(tmp_path / "export", sep=";", encoding="cp1252")
    return tmp_path


def refused(*arguments: object, cwd: Path) -> str:
    done = funnel(*arguments, cwd=cwd)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return " ".join(done.stderr.split())


def test_from_an_export_to_an_answer_in_two_commands(place: Path) -> None:
    done = funnel("init", "export", "--config", "shop.toml", cwd=place)
    assert done.returncode == 0, done.stderr
    assert "funnel run shop.toml" in done.stdout
    written = place / "shop.toml"
    written.write_text(written.read_text().replace("[gates]\n", f"{SMALL}\n[gates]\n{OPEN}"))
    done = funnel("run", "shop.toml", cwd=place)
    assert done.returncode == 0, done.stderr
    live = Live(place / "indexes")
    answer = live.recommend("u3@shop", 5, where={"in_stock": True})
    live.close()
    assert len(answer.items) == 5
    stock = shop().items.set_index("item_id")["in_stock"]
    assert {stock[item.item_id] for item in answer.items} == {"True"}


def test_the_config_says_what_can_be_changed_and_is_one(place: Path) -> None:
    funnel("init", "export", "--config", "shop.toml", cwd=place)
    text = (place / "shop.toml").read_text()
    assert text.count("#") >= 5
    config = configs.load(place / "shop.toml")
    assert (config.name, config.data.reader, config.data.path) == ("shop", "folder", "export")
    assert configs.parse(tomllib.loads(text)) == config


def test_nothing_is_overwritten_without_force(place: Path) -> None:
    (place / "shop.toml").write_text("mine")
    assert "shop.toml is already there" in refused("init", "export", "--config", "shop.toml", cwd=place)
    assert not (place / "export" / "schema.json").exists()
    assert (place / "shop.toml").read_text() == "mine"
    assert funnel("init", "export", "--config", "shop.toml", "--force", cwd=place).returncode == 0
    before = (place / "export" / "schema.json").read_text()
    assert "schema.json and shop.toml are already there" in refused(
        "init", "export", "--config", "shop.toml", cwd=place
    )
    assert (place / "export" / "schema.json").read_text() == before


def test_what_was_guessed_as_json(place: Path) -> None:
    done = funnel("init", "export", "--json", cwd=place)
    said = json.loads(done.stdout)
    assert said["written"] == ["export/schema.json"]
    assert {one["sure"] for one in said["guessed"]} <= {"certain", "likely", "unsure"}
    assert all(one["because"] for one in said["guessed"])
    assert {"events", "items", "users"} <= {one["what"] for one in said["guessed"]}


@pytest.mark.parametrize("command", [("run",), ("data", "profile"), ("train",)])
def test_without_a_schema_the_message_names_init(command: tuple[str, ...], place: Path) -> None:
    (place / "shop.toml").write_text('name = "shop"\n[data]\nreader = "folder"\npath = "export"\n')
    assert "`funnel init export` looks at the files" in refused(*command, "shop.toml", cwd=place)


def test_a_folder_in_place_of_a_config_names_init(place: Path) -> None:
    assert "funnel init export --config" in refused("run", "export", cwd=place)


def test_a_mistyped_option_is_told(place: Path) -> None:
    done = funnel("init", "export", "--table", "evnts=x.csv", cwd=place)
    assert done.returncode == 2
    assert "events, items, users, impressions" in " ".join(done.stderr.split())


def test_names_with_markup_are_printed_as_they_are(tmp_path: Path) -> None:
    base = shop(n_events=100)
    Shop.write(base.replace(items=base.items.rename(columns={"title": "[bold]t[/bold]"})), tmp_path / "x")
    done = funnel("init", "x", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "items.[bold]t[/bold]" in done.stdout


def test_a_folder_that_cannot_be_written_is_told(place: Path) -> None:
    assert "cannot be written" in refused("init", "export", "--config", "nowhere/shop.toml", cwd=place)
    assert not (place / "export" / "schema.json").exists()


def test_a_read_only_folder_is_not_written_to_by_root_either(place: Path) -> None:
    (place / "export").chmod(0o555)
    told = refused("init", "export", "--config", "shop.toml", cwd=place)
    (place / "export").chmod(0o755)
    assert "export is marked as read-only" in told
    assert "a folder of links" in told
    assert sorted(path.name for path in place.iterdir()) == ["export"]
    (place / "links").mkdir()
    for path in (place / "export").iterdir():
        (place / "links" / path.name).symlink_to(path)
    assert funnel("init", "links", "--config", "shop.toml", cwd=place).returncode == 0
