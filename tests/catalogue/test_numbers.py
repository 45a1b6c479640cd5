"""Numbers of items by row, which follow a catalogue that changes while it serves."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pandas as pd

from funnel.catalogue import numbers
from funnel.catalogue.numbers import NumberColumn
from funnel.catalogue.tables import Catalogue
from funnel.data import Vocabulary


class Changing(Catalogue):
    """Of two items, of which the first has another number after each change; whoever reads them waits."""

    def __init__(self) -> None:
        super().__init__(Vocabulary.of(np.arange(2)), pd.DataFrame({"spent": [0.0, 7.0]}), {})
        state = {"version": 0, "reading": 0, "most": 0, "go": threading.Event(), "begun": threading.Event()}
        self.__dict__["state"] = state
        state["go"].set()  # type: ignore[attr-defined]

    @property
    def changes(self) -> int:
        version: int = self.__dict__["state"]["version"]
        return version

    def changed_since(self, changes: int) -> Any:
        return np.zeros(1 if changes < self.changes else 0, dtype=np.int32)

    def values_of(self, name: str, rows: Any) -> list[Any]:
        state = self.__dict__["state"]
        state["reading"] += 1
        state["most"] = max(state["most"], state["reading"])
        found = [float(state["version"]) if row == 0 else 7.0 for row in rows.tolist()]
        state["begun"].set()
        state["go"].wait()
        state["reading"] -= 1
        return found


def test_who_read_before_a_change_does_not_write_behind_who_read_after_it() -> None:
    """Else a number would stay as it was until the item changes again."""
    catalogue, rows, found = Changing(), np.arange(2, dtype=np.int32), []
    column, state = NumberColumn(catalogue, "spent"), catalogue.__dict__["state"]
    state["go"].clear()
    state["begun"].clear()
    state["version"] = 1
    threads = [threading.Thread(target=lambda: found.append(column.of(rows).tolist())) for _ in range(2)]
    threads[0].start()
    assert state["begun"].wait(60)
    state["version"] = 2
    threads[1].start()
    threads[1].join(0.3)  # until it waits for the first one
    state["go"].set()
    for thread in threads:
        thread.join(60)
    assert state["most"] == 1
    assert found[1] == [2.0, 7.0]
    assert column.of(rows).tolist() == [2.0, 7.0]


def test_a_long_column_is_read_in_parts(monkeypatch: Any) -> None:
    monkeypatch.setattr(numbers, "_BLOCK", 3)
    given = [1.5, None, 2.0, -1.0, None, 0.0, 9.0]
    catalogue = Catalogue(Vocabulary.of(np.arange(7)), pd.DataFrame({"bid": given}), {})
    found = NumberColumn(catalogue, "bid").of(np.arange(7, dtype=np.int32))
    np.testing.assert_array_equal(found, np.array([np.nan if one is None else one for one in given]))
