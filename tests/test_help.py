"""Help says all that it was given, whatever is in it, at 80 columns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from funnel.cli import app
from funnel.cli.common import group


def commands(found: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command and group below one, with how it is called."""
    yield path, found
    for name, one in getattr(found, "commands", {}).items():
        yield from commands(one, (*path, name))


def printed(*path: str, of: typer.Typer = app) -> str:
    """The help, without line breaks."""
    found = CliRunner().invoke(of, [*path, "--help"], env={"COLUMNS": "80", "TERM": "dumb"})
    assert found.exit_code == 0, found.output
    assert max(map(len, found.output.splitlines())) <= 80
    return "".join(found.output.split())


ALL = list(commands(typer.main.get_command(app)))


@pytest.mark.parametrize(
    ("path", "command"), ALL, ids=lambda one: " ".join(one) if isinstance(one, tuple) else ""
)
def test_every_word_of_every_help_is_printed(path: tuple[str, ...], command: Any) -> None:
    text = printed(*path)
    said = [command.help, *(one.help for one in command.params)]
    said += [one.help.split(". ")[0] for one in getattr(command, "commands", {}).values()]
    assert any(said)
    for sentence in said:
        assert "".join((sentence or "").rstrip(".").split()) in text


def test_brackets_are_in_the_help_of_one() -> None:
    assert "[gates]" in printed("publish")


def test_a_group_prints_what_would_be_markup() -> None:
    """The control: the same as rich markup eats the words in brackets."""

    def make(made: typer.Typer) -> typer.Typer:
        @made.command()
        def one(way: str = typer.Option("", help="what [bold] is under [gates] and [/]")) -> None:
            """Say [red]nothing[/red]."""

        @made.command()
        def other() -> None:
            """Another."""

        return made

    text = printed("one", of=make(group()))
    assert "whatof" not in text
    assert "what[bold]isunder[gates]and[/]" in text
    assert "Say[red]nothing[/red]." in text
    eaten = CliRunner().invoke(make(typer.Typer(rich_markup_mode="rich")), ["one", "--help"])
    assert "[red]" not in eaten.output
