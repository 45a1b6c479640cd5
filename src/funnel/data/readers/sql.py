"""Tables of a database: a query a table, and `schema.json` in a folder, which says what the columns are."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

from funnel.data.database import VARIABLE, Database
from funnel.data.dataset import Dataset
from funnel.data.files import DESCRIPTION, read_description
from funnel.data.schema import TableName
from funnel.errors import DataError
from funnel.plugins import register
from funnel.values.nearest import hint
from funnel.values.urls import check_no_password


@register("reader", "sql")
def read_sql(path: Path | str, *, url: str, queries: dict[str, str]) -> Dataset:
    """The tables that queries return, as `Dataset.from_folder` takes them.

    path: a folder with `schema.json`, which `funnel init URL` writes. url: of the database, see `Database`;
    without a password. queries: a SELECT a table, such as {"events": "SELECT user_id, item_id, time FROM
    clicks"}. Rows go through a temporary folder, 50,000 at a time.

    Raises: DataError for a table that there is not, a query that fails, and as `from_folder`.
    """
    _check(url, queries)
    folder = Path(path)
    described = read_description(folder)
    if described is None:
        raise DataError(
            f"{folder} has no {DESCRIPTION}, which says what the columns are: `funnel init URL --config "
            f"{folder.name}.toml` looks at the tables of a database and writes one"
        )
    with tempfile.TemporaryDirectory(prefix="funnel-sql-") as temporary:
        copy = Path(temporary) / (folder.resolve().name or "data")
        copy.mkdir()
        shutil.copyfile(folder / DESCRIPTION, copy / DESCRIPTION)
        paths = {name: file.path for name, file in (described.files or {}).items()}
        _save(Database(url), {paths.get(name, name): query for name, query in queries.items()}, copy)  # type: ignore[call-overload]
        return Dataset.from_folder(copy)


def _check(url: str, queries: Mapping[str, str]) -> None:
    check_no_password(url, "data.options.url", VARIABLE)
    for name in queries:
        if name not in get_args(TableName):
            raise DataError(f"data.options.queries names {name!r}; {hint(name, get_args(TableName))}")
    if "events" not in queries:
        raise DataError("data.options.queries has none of events, which must be there")


def _save(database: Database, queries: Mapping[str, str], folder: Path) -> None:
    """Each query into the file, or folder, that the schema names."""
    with database() as opened:
        for name, query in queries.items():
            opened.save(query, Path(name).stem, folder / name)
