"""What a run leaves behind: one JSON file a run, and how runs of several seeds are put together."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

from pydantic import Field

from funnel.evaluation import Comparison, Report, Value, machine, versions
from funnel.settings import Settings


class Result(Settings):
    """One run of one data set. rows: the metrics of each baseline and stage, by name."""

    dataset: str
    label: str = ""  #: what was changed, for ablations; empty for the config as it is
    seed: int
    checksum: str
    protocol: str
    requests: int
    rows: dict[str, dict[str, Value]]
    comparisons: tuple[Comparison, ...] = ()
    chance: dict[str, float] = Field(default_factory=dict)
    fallback: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: dict[str, float]  #: by step, wall clock; "total" is from the file to the report
    processor_seconds: float | None = None  #: of all threads from the start of the run; busy cores or not
    peak_memory_mib: float
    config: dict[str, Any]
    machine: str
    versions: dict[str, str]

    @classmethod
    def of(
        cls, report: Report, dataset: str, seed: int, seconds: dict[str, float], began: float, **more: Any
    ) -> Result:
        """From the funnel's own report. Recall of one target is the hit rate, and is named so too. began:
        `processor_seconds` at the start."""
        rows = {row.name: dict(row.metrics) for row in report.rows}
        if report.targets == report.requests:
            for figures in rows.values():
                figures |= {
                    n.replace("recall", "hr"): v for n, v in figures.items() if n.startswith("recall@")
                }
        config = dict(report.config)
        config["data"] = {**config["data"], "path": None}  # type: ignore[dict-item]  # where it lay says nothing
        return cls(
            dataset=dataset,
            seed=seed,
            checksum=report.subject.checksum,
            protocol=report.subject.rules,
            requests=report.requests,
            rows=rows,
            comparisons=report.comparisons,
            chance=report.chance,
            notes=report.notes,
            seconds=seconds,
            config=config,
            **more,
            **here(began),
        )

    def save(self, folder: Path) -> Path:
        """As `DATASET[-LABEL]-SEED.json`."""
        folder.mkdir(parents=True, exist_ok=True)
        name = "-".join(part for part in (self.dataset, self.label, str(self.seed)) if part)
        path = folder / f"{name}.json"
        path.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")
        return path


def processor_seconds() -> float:
    """Of all threads of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def here(began: float = 0.0) -> dict[str, Any]:
    """The machine, the libraries, the processor time since `began`, and the most memory that this process has
    held."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "machine": machine(),
        "versions": versions(),
        "processor_seconds": round(processor_seconds() - began, 1),
        "peak_memory_mib": round(used.ru_maxrss / 1024, 1),  # KiB on Linux
    }
