"""A made-up world of ads whose best possible ranking is known.

Written in chunks to partitioned Parquet: ten million ads pass through without the world ever lying in memory
as a whole. `structure` says what users like, `lists` what they see and click; `tables` and `days` write it.

    events/day-000.parquet …       clicks: user_id, item_id, time
    impressions/day-000.parquet …   what was shown: request_id, user_id, item_id, time, position, clicked
    users/part-0000.parquet …      segment, country, age
    items/part-0000.parquet …      category, campaign, advertiser, price
    truth/*.npy                    factors of users and ads, bias of ads, how far each place is looked at
    schema.json, world.json        the columns, and the config that made the world

Ids are the numbers from 0, so that an id is its row.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from funnel.data.dataset import Dataset
from funnel.data.files import Description
from funnel.data.schema import Column
from funnel.data.synthetic.config import SyntheticConfig
from funnel.data.synthetic.days import write_log
from funnel.data.synthetic.structure import draw_structure
from funnel.data.synthetic.tables import write_ads, write_people
from funnel.data.synthetic.truth import LatentTruth
from funnel.errors import DataError

__all__ = ["LatentTruth", "SyntheticConfig", "config_of", "read_world", "write_world"]

_DESCRIPTION = Description(
    name="synthetic-ads",
    users=(
        Column(name="segment", kind="category"),
        Column(name="country", kind="category"),
        Column(name="age", kind="number"),
    ),
    items=(
        Column(name="category", kind="category"),
        Column(name="campaign", kind="category"),
        Column(name="advertiser", kind="category"),
        Column(name="price", kind="number"),
    ),
)


def write_world(config: SyntheticConfig, folder: Path | str) -> Path:
    """Make the world and write it to `folder`, which appears as a whole or not at all.

    The same config gives the same data. Raises DataError where the folder is already there.
    """
    folder = Path(folder)
    if folder.exists():
        raise DataError(f"{folder} is already there: give the name of a new folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
        world = Path(temporary) / "world"
        world.mkdir()
        _write(config, world)
        world.rename(folder)
    return folder


def _write(config: SyntheticConfig, folder: Path) -> None:
    rng = np.random.default_rng((config.seed, 0))
    structure = draw_structure(rng, config.items, config.dim, config.days, config.late)
    examination = np.arange(1, config.slots + 1, dtype=np.float32) ** -config.position_bias
    truth = LatentTruth.create(folder / "truth", config.users, config.items, config.dim, examination)
    shelf = write_ads(config, structure, truth, folder / "items")
    crowd = write_people(config, structure, truth, folder / "users")
    write_log(config, truth, shelf, crowd, folder)
    (folder / "schema.json").write_text(_DESCRIPTION.model_dump_json(indent=2, exclude_none=True) + "\n")
    (folder / "world.json").write_text(config.model_dump_json(indent=2) + "\n")


def read_world(folder: Path | str) -> Dataset:
    """A world that `write_world` wrote, with its truth. Raises DataError for another folder."""
    folder = Path(folder)
    if not (folder / "world.json").is_file():
        raise DataError(f"{folder}: no world.json there; expected a folder that write_world made")
    return Dataset.from_folder(folder, truth=LatentTruth.load(folder / "truth"))


def config_of(folder: Path | str) -> SyntheticConfig:
    """The config that made the world in `folder`."""
    return SyntheticConfig.model_validate_json((Path(folder) / "world.json").read_bytes())
