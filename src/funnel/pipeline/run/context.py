"""The state of one run, which its steps share: config, stores, results, and the data."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from funnel.artifacts import Store
from funnel.artifacts.manifest import libraries
from funnel.config import Config
from funnel.data import Dataset
from funnel.data.readers.synthetic import truth_of
from funnel.errors import BundleError, DataError
from funnel.pipeline.prepare import Prepared, prepare_from
from funnel.pipeline.run.work import Result, Work
from funnel.pipeline.train import load_encoders

RUNS = ".runs"


@dataclass
class Context:
    """One run.

    keep: steps whose last result is kept. forced: steps that run again. results: of the steps that are done
    or unchanged, by name.
    """

    config: Config
    indexes: Store
    embeddings: Store
    keep: frozenset[str] = frozenset()
    forced: frozenset[str] = frozenset()
    start_from: str | None = None
    progress: bool = False
    results: dict[str, Result] = field(default_factory=dict)

    @property
    def work(self) -> Work:
        """Where the results of this config are."""
        return Work(self.indexes.folder / RUNS / self.config.name)

    def folder(self, step: str) -> Path:
        """The folder of a step's result. Raises: KeyError before the step is done."""
        return self.work.path(self.results[step])

    def sections(self, *names: str) -> dict[str, Any]:
        """Sections of the config that a step depends on, with the version of funnel and the plugins."""
        sections = {**self.config.model_dump(mode="json", include=set(names)), **libraries(["funnel-rank"])}
        needs = [plugin.model_dump(mode="json") for plugin in self.config.needs]
        return {**sections, "plugins": needs} if needs else sections

    @cached_property
    def dataset(self) -> Dataset:
        """The data as `ingest` read them, whatever happens to the source during the run."""
        folder, data = self.folder("ingest"), self.config.data
        truth = truth_of(data.path, data.synthetic) if data.reader == "synthetic" else None
        try:
            notes = tuple(json.loads((folder / "notes.json").read_text()))
            return replace(Dataset.from_folder(folder / "data", truth=truth), notes=notes)
        except (OSError, ValueError, DataError) as error:
            raise BundleError(f"{folder} is damaged ({error}): run again with --from ingest") from error

    @cached_property
    def prepared(self) -> Prepared:
        """The data, split and encoded; with the encoders of the towers where those are kept."""
        kept = self.work.latest("train") if "train" in self.keep else None
        encoders = None if kept is None else load_encoders(self.work.path(kept))
        ingest = self.results["ingest"]
        read_at = datetime.fromisoformat(ingest.at).timestamp() - ingest.seconds
        return prepare_from(self.config, self.dataset, read_at, encoders)
