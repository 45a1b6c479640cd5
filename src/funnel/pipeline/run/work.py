"""Results of steps: a folder each, named after a hash of the inputs, written hidden and then renamed."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from funnel.artifacts import manifest as manifests
from funnel.artifacts.writing import Draft, changing, drafting, move_into, take_away
from funnel.settings import Settings

RESULT = "step.json"


class Result(Settings):
    """A complete result of a step.

    key: sha256 of the inputs. output: identifies the content for later steps. at: UTC, ISO 8601.
    """

    step: str
    key: str
    inputs: dict[str, Any]
    output: str
    at: str
    seconds: float
    bytes: int
    facts: dict[str, Any]


@dataclass
class Writing:
    """A result being written: files go below `folder`.

    inputs: as they were when the step began, since that is what the result is of, whatever has changed
    meanwhile. bytes: size of what the step writes elsewhere.
    """

    draft: Draft
    inputs: dict[str, Any]
    output: str = ""
    bytes: int = 0
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where the step writes."""
        return self.draft.folder

    @property
    def key(self) -> str:
        """Of the inputs."""
        return key_of(self.inputs)


def key_of(inputs: Mapping[str, Any]) -> str:
    """sha256 of the inputs, independent of their order."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


class Work:
    """The results of one config's steps, below a hidden folder of the store."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, result: Result) -> Path:
        """The folder of a result."""
        return self.folder / _name(result.step, result.key)

    def latest(self, step: str) -> Result | None:
        """The newest result of a step; None where there is none, or none that can be read."""
        results = []
        for folder in self.folder.glob(f"{step}-*"):
            try:
                results.append(Result.model_validate_json((folder / RESULT).read_bytes()))
            except (OSError, ValidationError):
                continue
        return max(results, key=lambda result: result.at, default=None)

    def checkpoint(self, key: str) -> Path:
        """The folder in which a step with this key keeps what it resumes from after a kill."""
        return self.folder / f"checkpoint-{key[:16]}"

    def forget(self, steps: Collection[str]) -> None:
        """Remove the results of steps, so that they run again."""
        with changing(self.folder):
            for name in [*steps, *(["checkpoint"] if "train" in steps else [])]:
                for folder in self.folder.glob(f"{name}-*"):
                    take_away(folder)

    @contextmanager
    def writing(self, inputs: dict[str, Any]) -> Iterator[Writing]:
        """A hidden folder that is gone when the block ends, unless `finish` made it a result."""
        with drafting(self.folder) as draft:
            yield Writing(draft, inputs)

    def finish(self, writing: Writing, step: str, seconds: float) -> Result:
        """Move a result to its final name, and remove the step's earlier results."""
        files = manifests.hashed(writing.folder)
        output = writing.output or manifests.fingerprint(files)
        size = sum(entry.bytes for entry in files.values()) + writing.bytes
        result = Result(
            step=step, key=writing.key, inputs=writing.inputs, output=output,
            at=datetime.now(UTC).isoformat(timespec="microseconds"), seconds=seconds, bytes=size,
            facts=writing.facts,
        )  # fmt: skip
        with changing(self.folder):
            (writing.folder / RESULT).write_text(result.model_dump_json(indent=1) + "\n")
            writing.draft.version = _name(result.step, result.key)
            if self.path(result).exists():
                take_away(self.path(result))
            move_into(writing.draft, self.folder)
        for old in self.folder.glob(f"{result.step}-*"):
            if old.name != writing.draft.version:
                shutil.rmtree(old, ignore_errors=True)
        shutil.rmtree(self.checkpoint(writing.key), ignore_errors=True)
        return result


def _name(step: str, key: str) -> str:
    return f"{step}-{key[:16]}"
