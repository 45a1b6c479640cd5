"""Shared by the commands: the app, options of several commands, and JSON output."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup


class Commands(TyperGroup):
    """A list of commands whose sentences are not cut."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Each command and what it does."""
        commands = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        rows = [
            (name, command.get_short_help_str(limit=1000)) for name, command in commands.items() if command
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def group(**options: Any) -> typer.Typer:
    """Commands whose help is plain text: as markup, "[gates]" in it would be a style, and not be printed."""
    return typer.Typer(cls=Commands, no_args_is_help=True, rich_markup_mode=None, **options)


app = group(add_completion=False, pretty_exceptions_enable=False)
console = Console(stderr=True)  # progress and messages; what a caller may pipe goes to stdout

ConfigFile = Annotated[Path, typer.Argument(help="a TOML config, see configs/")]
DataPath = Annotated[Path | None, typer.Option("--data", help="where the data is; replaces data.path")]
Json = Annotated[bool, typer.Option("--json", help="print JSON instead of tables")]
Indexes = Annotated[Path, typer.Option("--store", help="where bundles are kept and published")]
Embeddings = Annotated[Path, typer.Option("--embeddings", help="where trained towers are kept")]
Version = Annotated[str, typer.Option("--bundle", help="a version, or `current` for the published one")]

Trusted = Annotated[
    list[str] | None,
    typer.Option(
        "--trust", metavar="KEY", envvar="FUNNEL_TRUST", help="a public key that must have signed it"
    ),
]

INDEXES, EMBEDDINGS = Path("indexes"), Path("embeddings")


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"funnel {version('funnel-rank')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", help="print the version and end", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    """Multi-stage ranking: train, build, evaluate, publish, recommend."""


def check_output(path: Path | None) -> None:
    """Raises: ConfigError where no file can be written there, before anything is computed for it."""
    from funnel.errors import ConfigError

    if path is not None and (path.is_dir() or not path.absolute().parent.is_dir()):
        what = "is a folder" if path.is_dir() else f"there is no folder {path.parent}"
        raise ConfigError(f"{path}: {what}; the name of a file in a folder that is there is expected")


def check_folder(path: Path | None) -> None:
    """Raises: ConfigError where no folder can be made there, before anything is computed for it."""
    from funnel.errors import ConfigError

    if path is not None:
        there = next(each for each in (path, *path.absolute().parents) if each.exists())
        if not there.is_dir():
            raise ConfigError(f"{path}: {there} is a file; a folder, or one to be made, is expected")


def print_json(value: Any) -> None:
    """Strict JSON to stdout, for other programs."""
    from funnel.values.plain import as_json

    if sys.stdout is not None:  # closed by whoever started us
        sys.stdout.write(as_json(value) + "\n")


def as_written(text: str | None) -> str | None:
    """A text of the command line, where the system's encoding had no letters for it: it is UTF-8 then."""
    is_whole = text is None or not any("\ud800" <= letter <= "\udfff" for letter in text)
    return text if text is None or is_whole else os.fsencode(text).decode(errors="replace")
