"""Who may ask a service: keys are made, listed and taken away."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from funnel.cli.common import Json, app, group, print_json

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
    Console(stderr=True).print(f"{name} may {role}; the key is nowhere else, keep it:")
    typer.echo(token)  # to stdout alone, so that a shell can keep it


@commands.command("list")
def list_keys(keys: KeyFile = KEYS, as_json: Json = False) -> None:
    """The keys that there are, without what they are."""
    from funnel.service.keys import read

    rows = [key.model_dump(include={"id", "name", "role", "created"}) for key in read(keys)]
    if as_json:
        print_json({"keys": rows})
        return
    table = Table("name", "role", "created", "id", box=None)
    for row in rows:
        table.add_row(row["name"], row["role"], row["created"], row["id"])
    Console().print(table, markup=False)


@commands.command()
def remove(
    name: Annotated[str, typer.Argument(help="the name or the id of a key")],
    keys: KeyFile = KEYS,
    as_json: Json = False,
) -> None:
    """Take a key away: a second later no service lets it in."""
    from funnel.service import keys as service_keys

    gone = service_keys.remove(keys, name)
    print_json({"removed": gone.name}) if as_json else Console().print(f"removed {gone.name}", markup=False)
