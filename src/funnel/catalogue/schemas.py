"""The columns that a request may name, and which of them another bundle lacks."""

from __future__ import annotations

import json
from pathlib import Path

from funnel.data import Schema
from funnel.errors import BundleError


def load_schema(folder: Path) -> Schema:
    """A bundle's schema. Raises: BundleError when it cannot be read."""
    try:
        return Schema.model_validate(json.loads((folder / "schema.json").read_text()))
    except (OSError, ValueError) as error:
        raise BundleError(f"{folder / 'schema.json'} cannot be read ({error})") from error


def columns_gone(before: Schema, after: Schema) -> list[str]:
    """Columns of users, items and the context that were there before and are gone, or of another kind:
    "items.genres"."""
    tables = {
        "users": (before.users, after.users),
        "items": (before.items, after.items),
        "context": (before.context, after.context),
    }
    return [
        f"{table}.{column.name}"
        for table, (earlier, later) in tables.items()
        for column in earlier
        if (column.name, column.kind) not in {(other.name, other.kind) for other in later}
    ]


def check_columns(version: str, before: Schema, successor: str, after: Schema) -> None:
    """Raises: BundleError when the successor of a version lacks columns that callers of that one may name."""
    if gone := columns_gone(before, after):
        raise BundleError(
            f"bundle {successor} is of another schema: {', '.join(gone)} of {version}, which is in use, is "
            "gone or of another kind; start a new process to serve it"
        )
