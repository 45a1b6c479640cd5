"""The per-stage report: what each step found, lost and cost, next to the baselines, with intervals."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pandas as pd
from pydantic import Field, JsonValue, ValidationError

from funnel.errors import DataError
from funnel.evaluation.advice import Advice, Origin
from funnel.evaluation.compare import Comparison
from funnel.evaluation.frontier import Point
from funnel.evaluation.reliability import Reliability
from funnel.evaluation.rows import Latency, Row
from funnel.settings import Settings
from funnel.values.notebook import as_html


class Subject(Settings):
    """What is measured, and under which rules."""

    dataset: str
    checksum: str  #: of the data set's content
    protocol: str  #: how requests and targets came about, e.g. "time: towers to .8, ranker to .9, test after"
    reading: str  #: "window", "event" or "shown"

    @property
    def rules(self) -> str:
        """Protocol, reading, and what is ranked, in words."""
        ranked = "the list that was shown is ranked" if self.reading == "shown" else "every item ranked"
        return f"{self.protocol}; {self.reading} reading; {ranked}"


class Report(Settings):
    """One evaluation. Round trip: `report.save(path)`, `Report.load(path)`."""

    subject: Subject
    requests: int
    targets: int
    users: int
    items: int  #: size of the catalogue
    ks: tuple[int, ...]  #: the first is the length of the list that is shown
    level: float = 0.95  #: of every interval
    resamples: int
    seed: int
    rows: tuple[Row, ...]  #: baselines, ideal, exact, then the stages in walking order
    comparisons: tuple[Comparison, ...]
    chance: dict[str, float]  #: every metric's mean for a random order: expected, of plugins by drawing
    search_recall: dict[int, float] | None  #: share of the exact first k that approximate search finds, by k
    frontier: tuple[Point, ...] = ()  #: what the bundle's own index finds and costs, exact search last
    latency: Latency  #: of the whole funnel
    throughput: float  #: of the whole funnel, requests a second in batches
    probabilities: tuple[Reliability, ...] = ()  #: how right they are, a head each
    notes: tuple[str, ...] = ()
    origin: Origin = Origin()
    advice: tuple[Advice, ...] = ()  #: what to do next, see `funnel.evaluation.levers`
    config: dict[str, JsonValue] = Field(default_factory=dict)
    versions: dict[str, str]
    machine: str
    made: str  #: UTC, ISO 8601

    @property
    def k(self) -> int:
        """The length of the list that is shown."""
        return self.ks[0]

    @property
    def title(self) -> str:
        """What is measured, in a line: the config's name, and the data set's where that is another one."""
        name = self.config.get("name")
        named = isinstance(name, str) and name not in ("", self.subject.dataset)
        return f"{name} on {self.subject.dataset}" if named else self.subject.dataset

    def row(self, name: str) -> Row:
        """The row of this name; a KeyError names those there are."""
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(f"no row {name!r}; there are {', '.join(row.name for row in self.rows)}")

    def comparison(self, a: str, b: str) -> Comparison:
        """Row a against row b; a KeyError names the pairs there are."""
        for found in self.comparisons:
            if (found.a, found.b) == (a, b):
                return found
        known = ", ".join(f"{c.a}/{c.b}" for c in self.comparisons)
        raise KeyError(f"{a} was not compared with {b}; there are {known}")

    def to_frame(self, of: Literal["rows", "comparisons"] = "rows") -> pd.DataFrame:
        """A row for each row, by its name: kind, each metric's mean with `lo` and `hi`, p50 in milliseconds.

        NaN where a row does not have a figure. of: "comparisons" for a row a comparison instead, see
        `Comparison.to_frame`.
        """
        if of == "comparisons":
            return pd.DataFrame([one.to_record() for one in self.comparisons])
        rows = [
            {
                "kind": row.kind,
                **{
                    f"{name}{end}": getattr(value, part)
                    for name, value in row.metrics.items()
                    for part, end in (("mean", ""), ("lo", " lo"), ("hi", " hi"))
                },
                "p50 ms": None if row.latency is None else row.latency.p50,
            }
            for row in self.rows
        ]
        return pd.DataFrame(rows, index=pd.Index([row.name for row in self.rows], name="row"))

    def _repr_html_(self) -> str:
        """What a notebook shows: the means."""
        frame = self.to_frame()
        means = frame[[name for name in frame if not str(name).endswith((" lo", " hi"))]]
        return as_html(means, f"{self.subject.dataset}, {self.requests:,} requests: {self.subject.rules}")

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        path.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Report:
        """Read what `save` wrote; DataError where there is no such file, or it is something else."""
        try:
            return cls.model_validate_json(path.read_text(encoding="utf-8"))
        except (OSError, ValidationError) as wrong:
            raise DataError(f"{path} is not a report that this version reads: {wrong}") from wrong
