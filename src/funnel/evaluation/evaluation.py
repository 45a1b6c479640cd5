"""The figures of each single request, whose means a report has, and the lists themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from funnel.errors import DataError
from funnel.evaluation import trec
from funnel.evaluation.metrics import Float64, Metric, sum_by
from funnel.evaluation.pieces import write_pieces
from funnel.evaluation.report import Report
from funnel.evaluation.rows import row_values
from funnel.types import Int32, Int64, Ragged

if TYPE_CHECKING:
    import ranx

#: So many requests are written at a time: bounds memory, not results.
PIECE = 65_536


@dataclass(frozen=True, repr=False)
class Evaluation:
    """A report with the figures of each single request, for significance tests of your own.

    users, times: [B], of the requests, in their order. targets: the item rows that count as right.
    positions: by row of the report, each target's position in its lists. widths: by row, the length of its
    longest list. lists: by row, where they were kept, int32 [B, W] item rows, best first, −1 behind the last.
    further: metrics beside funnel's own. user_ids, item_ids: the ids of rows; None where they are not known.

    Memory: four bytes a target and row, and four bytes a position of the lists that were kept. Figures are
    computed when they are requested.
    """

    report: Report
    users: Int32
    times: Int64
    targets: Ragged
    positions: Mapping[str, Ragged]
    widths: Mapping[str, int]
    lists: Mapping[str, Int32]
    further: Mapping[str, Metric]
    user_ids: NDArray[Any] | None = None
    item_ids: NDArray[Any] | None = None

    def __len__(self) -> int:
        return len(self.users)

    def __repr__(self) -> str:
        return f"<Evaluation of {self.report.subject.dataset}, {len(self):,} requests>"

    def _repr_html_(self) -> str:
        """What a notebook shows: the report."""
        return self.report._repr_html_()

    def named(self, user_ids: NDArray[Any], item_ids: NDArray[Any]) -> Evaluation:
        """The same evaluation, whose tables and files have ids in place of row numbers."""
        return replace(self, user_ids=user_ids, item_ids=item_ids)

    def per_request(self, *rows: str, start: int = 0, stop: int | None = None) -> pd.DataFrame:
        """The figures of every request: columns request, user_id, time, row, and one a metric.

        rows: names of rows of the report; none for all. start, stop: a part of the requests, for going
        through many of them in pieces (a dozen figures of eight bytes for each request and row).
        time: seconds since 1970, UTC, where the data have a clock. "recall" is of the whole list, however
        long. A metric deeper than a row's lists are long is NaN. A column's mean is the report's figure.
        Raises: KeyError naming the rows that there are.

            frame = evaluation.per_request("rank", "retrieve")
        """
        some = np.arange(len(self))[start:stop]
        about = {"request": some, "user_id": self._names(self.users[some]), "time": self.times[some]}
        frames = [
            pd.DataFrame({**about, "row": name, **self._values(name, some)}) for name in self._rows(rows)
        ]
        return pd.concat(frames, ignore_index=True)

    def per_user(self, *rows: str) -> pd.DataFrame:
        """The mean of every figure over each user's requests: user_id, row, requests, and a column a metric.

        Weighted by `requests` its means are the report's. Requests without a known user are left out. One
        row's figures of all requests are in memory at a time.
        """
        known = np.flatnonzero(self.users >= 0)
        users, of = np.unique(self.users[known], return_inverse=True)
        counts = np.bincount(of, minlength=len(users))
        frames = []
        for name in self._rows(rows):
            means = {
                metric: sum_by(of, each, len(users)) / counts
                for metric, each in self._values(name, known).items()
            }
            about = {"user_id": self._names(users), "row": name, "requests": counts}
            frames.append(pd.DataFrame({**about, **means}))
        return pd.concat(frames, ignore_index=True)

    def save_per_request(self, path: str | Path) -> None:
        """`per_request` of all rows into a .parquet or .csv file, in pieces of 65,536 requests; whole or not
        at all. Raises: ConfigError for another name."""
        starts = range(0, len(self), PIECE)
        write_pieces(Path(path), (self.per_request(start=start, stop=start + PIECE) for start in starts))

    def run(self, row: str | None = None) -> dict[str, dict[str, float]]:
        """The lists of a row as ranx and pytrec_eval take them: request -> item id -> score.

        The score counts down by position, so that sorting by it gives the list. row: default the last stage.
        A request without a list has an entry without items. Raises: DataError for lists that were not kept.
        """
        return trec.run(self._lists(row), self._item)

    def qrels(self) -> dict[str, dict[str, int]]:
        """The targets, as ranx and pytrec_eval take them: request -> item id -> 1."""
        return trec.qrels(self.targets, self._item)

    def ranx(self, row: str | None = None) -> tuple[ranx.Qrels, ranx.Run]:
        """`qrels` and `run` as objects of ranx. Raises: FunnelError where ranx is not installed."""
        return trec.ranx(self.qrels(), self.run(row), row or self.last)

    def write_run(self, path: str | Path, row: str | None = None, *, tag: str = "funnel") -> None:
        """The lists of a row as a TREC run, `qid Q0 docid rank score tag` a line; whole or not at all.

        qid is the request's number in `per_request`, rank counts from 1. White space, control
        characters and "%" in an id are percent-encoded: "a b" is "a%20b".
        """
        trec.write(Path(path), trec.run_lines(self._lists(row), self._item, tag))

    def write_qrels(self, path: str | Path) -> None:
        """The targets as TREC qrels, `qid 0 docid 1` a line; whole or not at all."""
        trec.write(Path(path), trec.qrels_lines(self.targets, self._item))

    @property
    def last(self) -> str:
        """The name of the row of the list that is shown: the last stage."""
        return self.report.rows[-1].name

    def _rows(self, rows: Sequence[str]) -> list[str]:
        return [self.report.row(name).name for name in rows or [row.name for row in self.report.rows]]

    def _values(self, name: str, some: NDArray[Any]) -> dict[str, Float64]:
        return row_values(self.positions[name].take(some), self.report.ks, self.widths[name], self.further)

    def _names(self, users: NDArray[Any]) -> Any:
        if self.user_ids is None:
            return users
        known = np.asarray(self.user_ids)[np.maximum(users, 0)].astype(object)
        return np.where(users >= 0, known, None)

    def _lists(self, row: str | None) -> Int32:
        name = self.report.row(row or self.last).name
        if name not in self.lists:
            kept = ", ".join(self.lists) or "none"
            problem = f"the lists of {name!r} were not kept (kept: {kept})"
            raise DataError(f"{problem}; measure with lists=[{name!r}]")
        return self.lists[name]

    def _item(self, row: int) -> str:
        return str(row if self.item_ids is None else self.item_ids[row])
