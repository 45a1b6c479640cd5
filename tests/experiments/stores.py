"""Stores of experiments' tests: folders with files, which are all that declaring an experiment looks at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from funnel.artifacts import Store
from funnel.experiments.config import ExperimentConfig

SHARED = bytes(range(256)) * 400


def version(store: Store, own: str, shared: bytes = SHARED) -> str:
    """A version with a large file that others have too, and one of its own."""
    with store.writing("shop") as draft:
        (draft.folder / "vectors.npy").write_bytes(shared)
        (draft.folder / "own.txt").write_text(own)
        draft.describe(towers_fingerprint="t", schema_fingerprint="s", config={})
    return draft.version


def two_bundles(folder: Path) -> tuple[Store, str, str]:
    """A store with a published version, and another."""
    store = Store(folder / "indexes")
    first, second = version(store, "first"), version(store, "second")
    store.publish(first)
    return store, first, second


def halves(bundle: str, **more: Any) -> ExperimentConfig:
    """What is published against another bundle."""
    arms = {"control": {"share": 0.5}, "treated": {"share": 0.5, "bundle": bundle}}
    return ExperimentConfig.model_validate({"arms": arms, **more})
