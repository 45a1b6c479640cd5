"""A made-up world of ads whose best possible ranking is known.

Written in chunks to partitioned Parquet: ten million ads pass through without the world ever lying in memory
as a whole. `structure` says what users like, `lists` what they see and click; `tables` and `days` write it.

    events/day-000.parquet …       clicks: user_id, item_id, time
    impressions/day-000.parquet …   what was shown: request_id, user_id, item_id, time, position, clicked
    users/part-0000.parquet …      segment, country, age
    items/part-0000.parquet …      category, campaign, advertiser, price
    truth/*.npy                    factors of users and ads, bias of ads, how far each position is looked at
    truth/ads/*.npy                with `ads`: of moments, purchases and money
    schema.json, world.json        the columns, and the config that made the world

With `ads`, events have kind (click or purchase), value, placement and device; impressions have the latter
two; items have bid, margin, and their campaign's budget, of which nothing is spent yet.

Ids are the numbers from 0, so that an id is its row.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from funnel.errors import DataError
from funnel.synthetic.ads import AdsTruth
from funnel.synthetic.config import AdsConfig, SyntheticConfig
from funnel.synthetic.days import write_log
from funnel.synthetic.structure import draw_structure
from funnel.synthetic.tables import write_ads, write_people
from funnel.synthetic.truth import LatentTruth

__all__ = ["AdsConfig", "AdsTruth", "LatentTruth", "SyntheticConfig", "config_of", "write_world"]

_COLUMNS = {
    "users": {"segment": "category", "country": "category", "age": "number"},
    "items": {"category": "category", "campaign": "category", "advertiser": "category", "price": "number"},
    "events": {},
    "impressions": {},
}


#: Further columns of a world with `ads`; those of events and impressions are known before a click.
_ADS_COLUMNS = {
    "items": {"bid": "number", "margin": "number", "budget": "number", "spent": "number"},
    "events": {"placement": "category", "device": "category"},
    "impressions": {"placement": "category", "device": "category"},
}


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
    if config.ads is not None:
        sizes = config.users, config.items, len(structure.categories)
        ads = AdsTruth.create(folder / "truth" / "ads", config.ads, config.seed, sizes)
        truth = replace(truth, ads=ads)
    shelf = write_ads(config, structure, truth, folder / "items")
    crowd = write_people(config, structure, truth, folder / "users")
    write_log(config, truth, shelf, crowd, folder)
    (folder / "schema.json").write_text(json.dumps(_description(config), indent=2) + "\n")
    (folder / "world.json").write_text(config.written() + "\n")


def _description(config: SyntheticConfig) -> dict[str, Any]:
    """What `schema.json` says, in the format of any folder of data: a world is read as one and knows no
    reader."""
    described: dict[str, Any] = {
        table: [{"name": name, "kind": kind, "required": False} for name, kind in columns.items()]
        for table, columns in _COLUMNS.items()
    }
    for table, columns in _ADS_COLUMNS.items() if config.ads is not None else ():
        before = {} if table == "items" else {"context": True}
        described[table] += [
            {"name": name, "kind": kind, "required": False, **before} for name, kind in columns.items()
        ]
    return described | {"name": "synthetic-ads", "clock": "time"}


def config_of(folder: Path | str) -> SyntheticConfig:
    """The config that made the world in `folder`."""
    return SyntheticConfig.model_validate_json((Path(folder) / "world.json").read_bytes())
