"""Who may ask a service: keys are made, listed and taken away."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from funnel.cli.common import Json, app, console, group, print_json
from funnel.terminal import plain, say

KeyFile = Annotated[Path, typer.Option("--keys", help="the file of keys, which `funnel serve --keys` reads")]

KEYS = Path("keys.json")

commands = group(help="Who may ask a service: make, list and remove API keys.")
app.add_typer(commands, name="keys")


@commands.command()
def add(
    name: Annotated[str, typer.Argument(help="whose key it is")],
    role: Annotated[str, typer.Option(help="read, write (events, items, users) or admin (bundles)")] = "read",
    keys: KeyFile = KEYS,
    as_json: Json = False,
) -> None:
    """Make a key and print it, once: the file has only its hash."""
    from funnel.service import keys as service_keys

    token = service_keys.add(keys, name, service_keys.as_role(role))
    if as_json:
        print_json({"name": name, "role": role, "key": token})
        return
    typer.echo(token)  # to stdout alone, so that a shell can keep it
    with suppress(OSError):  # it is made, and was printed, whatever becomes of this
        say(f"{name} may {role}; the key is nowhere else, keep it", console)


@commands.command("list")
def list_keys(keys: KeyFile = KEYS, as_json: Json = False) -> None:
    """The keys that there are, without what they are."""
    from funnel.service.keys import read

    rows = [key.model_dump(include={"id", "name", "role", "created"}) for key in read(keys)]
    if as_json:
        print_json({"keys": rows})
        return
    table = plain("name", "role", "created", "id", text=(1, 2, 3))
    for row in rows:
        table.add_row(row["name"], row["role"], row["created"], row["id"])
    Console().print(table)


@commands.command()
def remove(
    name: Annotated[str, typer.Argument(help="the name or the id of a key")],
    keys: KeyFile = KEYS,
    as_json: Json = False,
) -> None:
    """Take a key away: a second later no service lets it in."""
    from funnel.service import keys as service_keys

    gone = service_keys.remove(keys, name)
    print_json({"removed": gone.name}) if as_json else say(f"removed {gone.name}")
