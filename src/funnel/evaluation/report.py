"""The report: what each stage finds, loses and costs, beside baselines, with intervals."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import pandas as pd
from pydantic import AliasChoices, Field, JsonValue, model_validator

from funnel.errors import ConfigError, DataError
from funnel.evaluation.advice import Advice, Origin
from funnel.evaluation.cold import Cold
from funnel.evaluation.compare import Comparison
from funnel.evaluation.frontier import Point
from funnel.evaluation.kinds import OfKind
from funnel.evaluation.reliability import Reliability
from funnel.evaluation.rows import Latency, Row, Value
from funnel.settings import Settings
from funnel.values.nearest import hint
from funnel.values.notebook import as_html


class Subject(Settings):
    """What is measured, and under which rules."""

    dataset: str
    checksum: str  #: of the data set's content
    windows: str  #: how the events were divided, e.g. "time: towers to .8, ranker to .9, test after"
    protocol: str  #: what a request is: "window", "event" or "shown", see `split.protocol`

    @model_validator(mode="before")
    @classmethod
    def _of_earlier_versions(cls, raw: Any) -> Any:
        """Earlier reports have `windows` as "protocol", and `protocol` as "reading"."""
        if isinstance(raw, dict) and "reading" in raw:
            rest = {name: value for name, value in raw.items() if name not in ("protocol", "reading")}
            return {**rest, "windows": raw.get("protocol"), "protocol": raw["reading"]}
        return raw

    @property
    def rules(self) -> str:
        """Windows, protocol, and what is ranked, in words."""
        ranked = "the list that was shown is ranked" if self.protocol == "shown" else "every item ranked"
        return f"{self.windows}; protocol {self.protocol}; {ranked}"


#: What a report has frames of.
Of: TypeAlias = Literal["rows", "comparisons"]


class Report(Settings):
    """One evaluation of a bundle, as values: `report.json`. Reports of earlier versions are read too.

    report = Report.load("report.json")
    print(report.row("rank").metrics["ndcg@10"].mean)
    """

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
    chance: dict[str, float]  #: every metric's mean for lists in a random order: exact, of plugins drawn
    kinds: tuple[OfKind, ...] = ()  #: of each kind of event that is to be found, where there are several
    cold: Cold | None = None  #: targets without an event in training; None in reports of earlier versions
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
    #: when, UTC, ISO 8601; "made" in reports of earlier versions
    created: str = Field(validation_alias=AliasChoices("created", "made"))

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
        """The row of this name. Raises: KeyError naming the rows there are."""
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(f"no row {name!r}; there are {', '.join(row.name for row in self.rows)}")

    def valued(self, expected: Mapping[str, float]) -> Report:
        """The same, with what the first k of a request's list are worth, by row, in the rows that have it."""
        rows = tuple(
            row.model_copy(update={"expected_value": expected[row.name]}) if row.name in expected else row
            for row in self.rows
        )
        return self.model_copy(update={"rows": rows})

    def comparison(self, a: str, b: str) -> Comparison:
        """The comparison of row a with row b. Raises: KeyError naming the pairs there are."""
        for comparison in self.comparisons:
            if (comparison.a, comparison.b) == (a, b):
                return comparison
        known = ", ".join(f"{c.a}/{c.b}" for c in self.comparisons)
        raise KeyError(f"{a} was not compared with {b}; there are {known}")

    def to_frame(self, of: Of = "rows") -> pd.DataFrame:
        """The report's rows as a data frame, indexed by name: kind, each metric's mean with the bounds of its
        interval (`lo`, `hi`), the same of cold targets alone ("cold ndcg@10") and of each kind of event
        ("purchase ndcg@10"), and p50 in milliseconds; NaN where a row does not have a figure.

        of: "comparisons" for a frame of the comparisons instead, see `Comparison.to_frame`.
        Raises: ConfigError for another.
        """
        if of not in get_args(Of):
            raise ConfigError(f"a report has no frame of {of!r}; {hint(of, get_args(Of))}")
        if of == "comparisons":
            return pd.DataFrame([comparison.to_record() for comparison in self.comparisons])
        rows = [
            {
                "kind": row.kind,
                **_bounds("", row.metrics),
                **_bounds("cold ", {} if self.cold is None else self.cold.rows.get(row.name, {})),
                **self._of_kinds(row.name),
                "p50 ms": None if row.latency is None else row.latency.p50,
            }
            for row in self.rows
        ]
        return pd.DataFrame(rows, index=pd.Index([row.name for row in self.rows], name="row"))

    def _of_kinds(self, row: str) -> dict[str, float]:
        """The figures of a row by kind of event, as columns of a frame."""
        columns: dict[str, float] = {}
        for each in self.kinds:
            columns |= _bounds(f"{each.kind} ", each.rows.get(row, {}))
        return columns

    def _repr_html_(self) -> str:
        """What a notebook shows: the means."""
        frame = self.to_frame()
        means = frame[[name for name in frame if not str(name).endswith((" lo", " hi"))]]
        return as_html(means, f"{self.subject.dataset}, {self.requests:,} requests: {self.subject.rules}")

    def save(self, path: str | Path) -> None:
        """Write it as JSON."""
        Path(path).write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Report:
        """Read what `save` wrote. Raises: DataError where there is no such file, or it is something else."""
        try:
            return cls.model_validate_json(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as wrong:
            raise DataError(f"{path} is not a report that this version reads: {wrong}") from wrong


def _bounds(before: str, values: Mapping[str, Value]) -> dict[str, float]:
    """Each mean with the bounds of its interval, as columns of a frame."""
    return {
        f"{before}{name}{end}": getattr(value, part)
        for name, value in values.items()
        for part, end in (("mean", ""), ("lo", " lo"), ("hi", " hi"))
    }
