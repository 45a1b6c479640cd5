"""From your own files to a first config."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from funnel.cli.common import Json, app, print_json
from funnel.terminal import say

if TYPE_CHECKING:
    from funnel.init import Guess

TABLES = ("events", "items", "users", "impressions")
KEYS = ("user_id", "item_id", "time", "request_id", "position", "clicked")


@app.command()
def init(
    data: Annotated[
        str,
        typer.Argument(
            help="a folder of CSV, Parquet or JSON files, or one such file, or a database: postgresql://, "
            "sqlite:///, duckdb:///"
        ),
    ],
    config: Annotated[Path | None, typer.Option(help="also write a config here, such as shop.toml")] = None,
    force: Annotated[bool, typer.Option("--force", help="replace what is there")] = False,
    table: Annotated[
        list[str] | None, typer.Option(metavar="TABLE=FILE", help="which file is it, such as events=log.csv")
    ] = None,
    key: Annotated[
        list[str] | None, typer.Option(metavar="KEY=COLUMN", help="which column is it, such as user_id=who")
    ] = None,
    as_json: Json = False,
) -> None:
    """Look at your own files, or a database, guess what they hold, and write schema.json and a config."""
    from funnel.init import guess, guess_database, write
    from funnel.values.urls import is_url

    tables: Any = _pairs("--table", table, TABLES)
    keys, source = _pairs("--key", key, KEYS), None
    if is_url(data):
        folder = Path(data.partition("?")[0]).with_suffix("").name if config is None else config.stem
        beside = Path() if config is None else config.parent
        guessed, source = guess_database(data, beside / folder, tables=tables, keys=keys)
    else:
        guessed = guess(Path(data), tables=tables, keys=keys)
    written = write(guessed, config, data=str(guessed.folder), force=force, source=source)
    if as_json:
        print_json(
            {
                "written": [str(path) for path in written],
                "guessed": [finding.model_dump() for finding in guessed.findings],
                "unused": [finding.model_dump() for finding in guessed.unused],
                "sampled": list(guessed.sampled),
            }
        )
        return
    _print(guessed, written, config, data if source is None else source.url)


def _pairs(option: str, given: list[str] | None, names: tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for pair in given or ():
        name, equals, value = pair.partition("=")
        if not equals or not value or name not in names:
            raise typer.BadParameter(
                f"{option} {pair}: NAME=VALUE with a name of {', '.join(names)} is expected"
            )
        pairs[name] = value
    return pairs


def _print(guess: Guess, written: list[Path], config: Path | None, data: str) -> None:
    from funnel.terminal import table
    from funnel.values.urls import is_url

    out = Console()
    guessed = table("what was guessed", "where", "what", "how sure", "from what", text=(1, 2, 3))
    for finding in guess.findings:
        style = {"unsure": "bold yellow"}.get(finding.sure, "")
        guessed.add_row(finding.where, finding.what, finding.sure, finding.because, style=style)
    out.print(guessed)
    if guess.unused:
        unused = table("what is not used", "where", "why", text=(1,))
        for left in guess.unused:
            unused.add_row(left.where, left.why)
        out.print(unused)
    if guess.sampled:
        large = ", ".join(guess.sampled)
        rows = "the first rows" if is_url(data) else "rows from the beginning, the middle and the end"
        say(f"of {large}, {rows} were looked at, not all", out)
    for path in written:
        say(f"written  {path}", out)
    next_step = f"funnel run {config}" if config else f"funnel init {data} --config shop.toml --force"
    say(f"next     {next_step}", out)
