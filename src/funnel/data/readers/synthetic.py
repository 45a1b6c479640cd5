"""The synthetic world of ads, generated on first use and kept."""

from __future__ import annotations

import hashlib
from pathlib import Path

from funnel.data.dataset import Dataset
from funnel.data.readers.download import cache_folder
from funnel.errors import DataError
from funnel.plugins import register
from funnel.synthetic import LatentTruth, SyntheticConfig, config_of, write_world


@register("reader", "synthetic")
def read_synthetic(path: str | Path | None = None, *, synthetic: SyntheticConfig | None = None) -> Dataset:
    """The world at `path`, or in the cache; made there first where it is not.

    synthetic: the world that it has to be; None takes any world that is at `path`, or makes the default one.
    Raises DataError where another world, or something else, is at `path`.
    """
    wanted = synthetic or SyntheticConfig()
    folder = _cached(wanted) if path is None else Path(path)
    if not folder.exists():
        write_world(wanted, folder)
    elif synthetic is not None and (folder / "world.json").is_file() and config_of(folder) != synthetic:
        raise DataError(f"{folder} holds a world of another config: give another folder, or remove it")
    return read_world(folder)


def read_world(folder: Path | str) -> Dataset:
    """A world that `write_world` wrote, with its truth. Raises DataError for another folder."""
    folder = Path(folder)
    if not (folder / "world.json").is_file():
        raise DataError(f"{folder}: no world.json there; expected a folder that write_world made")
    return Dataset.from_folder(folder, truth=LatentTruth.load(folder / "truth"))


def truth_of(path: str | Path | None, synthetic: SyntheticConfig | None) -> LatentTruth:
    """The true preferences of the world that `read_synthetic` reads for the same arguments, without its
    tables.
    """
    folder = _cached(synthetic or SyntheticConfig()) if path is None else Path(path)
    return LatentTruth.load(folder / "truth")


def _cached(config: SyntheticConfig) -> Path:
    """The folder in the cache of a config."""
    digest = hashlib.sha256(config.model_dump_json(exclude_none=True).encode()).hexdigest()
    return cache_folder() / f"synthetic-{digest[:12]}"
