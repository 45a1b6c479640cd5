"""A table as an attribute that is a frame to those who read it."""

from __future__ import annotations

from typing import Any

import pandas as pd

from funnel.data.columnar.table import Table


class FrameView:
    """An attribute of a class that takes a clean frame or a `Table`, keeps the table, and gives a frame,
    which is made each time. The table is in `kept_as`."""

    def __init__(self, kept_as: str) -> None:
        self._kept_as = kept_as

    def __set__(self, instance: Any, value: pd.DataFrame | Table) -> None:
        vars(instance)[self._kept_as] = value if isinstance(value, Table) else Table.of(value)

    def __get__(self, instance: Any, owner: Any = None) -> pd.DataFrame:
        if instance is None:  # as for an attribute without a default
            raise AttributeError(self._kept_as)
        table: Table = vars(instance)[self._kept_as]
        return table.frame()


class OptionalFrameView:
    """The same of a table that may not be there: None, which is the default."""

    def __init__(self, kept_as: str) -> None:
        self._kept_as = kept_as

    def __set__(self, instance: Any, value: pd.DataFrame | Table | None) -> None:
        table = value if value is None or isinstance(value, Table) else Table.of(value)
        vars(instance)[self._kept_as] = table

    def __get__(self, instance: Any, owner: Any = None) -> pd.DataFrame | None:
        table: Table | None = None if instance is None else vars(instance)[self._kept_as]
        return None if table is None else table.frame()
