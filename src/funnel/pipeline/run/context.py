"""What the steps of one run share: the config as it was at the start, the stores, results, and the data."""

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
from funnel.errors import BundleError
from funnel.pipeline.prepare import Prepared, prepare_from
from funnel.pipeline.run.work import Result, Work
from funnel.pipeline.train import load_encoders

RUNS = ".runs"


@dataclass
class Context:
    """One run. results: of the settled steps, by name. keep: steps that stay. forced: that run again."""

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
        """What a settled step left."""
        return self.work.path(self.results[step])

    def sections(self, *names: str) -> dict[str, Any]:
        """Parts of the config that decide a step, and the version of funnel."""
        said = {**self.config.model_dump(mode="json", include=set(names)), **libraries(["funnel-rank"])}
        needs = [one.model_dump(mode="json") for one in self.config.needs]
        return {**said, "plugins": needs} if needs else said

    @cached_property
    def dataset(self) -> Dataset:
        """The data as `ingest` took them: a run is about one state, whatever becomes of the source."""
        folder = self.folder("ingest")
        try:
            notes = tuple(json.loads((folder / "notes.json").read_text()))
        except (OSError, ValueError) as error:
            raise BundleError(f"{folder} is damaged ({error}): run again with --from ingest") from error
        data = self.config.data
        truth = truth_of(data.path, data.synthetic) if data.reader == "synthetic" else None
        return replace(Dataset.from_folder(folder / "data", truth=truth), notes=notes)

    @cached_property
    def prepared(self) -> Prepared:
        """Split, and encoded as the towers read it: theirs are the encoders where they are kept."""
        kept = self.work.latest("train") if "train" in self.keep else None
        encoders = None if kept is None else load_encoders(self.work.path(kept))
        ingest = self.results["ingest"]
        read_at = datetime.fromisoformat(ingest.at).timestamp() - ingest.seconds
        return prepare_from(self.config, self.dataset, read_at, encoders)
