"""Commands that documents write but nobody runs as they stand: each is one, and the README's are run."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from funnel import Live
from funnel.cli import app
from funnel.data.files import Description, write_folder
from funnel.impressions import ImpressionsConfig
from tests.policies.conftest import exploring, store  # noqa: F401  (fixtures)
from tests.test_docs import blocks

#: A command of ours in a line of a shell or of a crontab: what follows is a comment or the shell's.
COMMAND = re.compile(r"(?<![\w-])funnel ((?:(?!\s{2}|\s#|\s[>|&]).)+)")

SHOP = """
name = "shop"
[data]
reader = "folder"
path = "{data}"
[experiments.new-towers]
arms = {{ control = {{ share = 0.5 }}, towers = {{ share = 0.5, retrieve = {{ k = 90 }} }} }}
"""

#: What each command of the README prints in the world of `shop`, beside its exit code.
PRINTS = {
    "ingest": "1 events; 60 lists with 240 items",
    "experiment": "new-towers, day",
    "replay": "drawn lists",
    "monitor": "no monitor has looked at indexes",
}


def written() -> list[tuple[str, str]]:
    """Every command in blocks that are not run: the document, the arguments."""
    code = [*blocks("text"), *blocks("sh")]
    return [(name, found) for name, text in code for found in COMMAND.findall(text)]


def of_readme() -> list[str]:
    """Those of the README that end by themselves."""
    return [line for name, line in written() if name == "README.md" and not line.startswith("serve")]


def parse(line: str) -> None:
    """Read the arguments as the command line does, and do nothing. Raises: click's errors."""

    def silence(command: Any) -> None:
        command.callback = lambda **_: None
        for below in getattr(command, "commands", {}).values():
            silence(below)

    root = typer.main.get_command(app)
    silence(root)
    root.main(shlex.split(line), prog_name="funnel", standalone_mode=False)


@pytest.mark.parametrize(("name", "line"), written())
def test_every_command_that_is_written_is_one(name: str, line: str) -> None:
    parse(line)


def test_what_is_no_command_is_found() -> None:
    """The control."""
    wrong = {
        "replays shop.toml": "No such command",
        "monitor --shop x": "No such option",
        "replay": "Missing",
    }
    for line, message in wrong.items():
        with pytest.raises(Exception, match=message):
            parse(line)
    assert COMMAND.findall("0 3 * * *  .venv/bin/funnel run a.toml > log || tail log") == ["run a.toml"]
    assert COMMAND.findall("funnel sign --key k && funnel push s3://x   # there") == [
        "sign --key k",
        "push s3://x",
    ]
    assert len(written()) > 12


@pytest.fixture
def shop(store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:  # noqa: F811
    """A folder with a config, its data, and a store that draws lists and logs them, with an experiment."""
    folder = store.parent
    events = pd.DataFrame({"user_id": [1, 2], "item_id": [1, 2], "time": [10, 11]})
    tables = {"events": events, "items": pd.DataFrame({"item_id": range(1, 201)})}
    write_folder(folder / "data", tables, Description())
    (folder / "shop.toml").write_text(SHOP.format(data=folder / "data"))
    monkeypatch.chdir(folder)
    assert CliRunner().invoke(app, ["experiment", "new-towers", "--start", "shop.toml"]).exit_code == 0
    live = Live("indexes", impressions=ImpressionsConfig(log=True, sample=1.0, candidates=200))
    answers = live.recommend_many(range(1, 61), k=4)
    live.observe((1, answers[0].items[0].item_id, None, None, None, answers[0].id))
    assert live.recording.flush(30)
    live.close()
    return folder


def test_the_readmes_commands_run_in_their_order(shop: Path) -> None:
    lines = of_readme()
    assert {line.split()[0] for line in lines} == set(PRINTS)
    for line in lines:
        done = CliRunner().invoke(app, shlex.split(line), env={"COLUMNS": "200"})
        assert done.exit_code == 0, done.output
        assert PRINTS[line.split()[0]] in " ".join(done.output.split())
