"""Trees of a bundle's heads and the propensities of positions on disk, beside the ranker's own files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from funnel.errors import BundleError
from funnel.ranker.propensity import Propensities
from funnel.ranker.ranker import Ranker

_HEADS, _PROPENSITIES = "heads.json", "propensities.json"


def save_trees(folder: Path, trees: Mapping[str, Ranker]) -> None:
    """Write the trees of each head into a folder of its own, `head-0` and so on, and `heads.json`, their
    names: a name may hold what a file's may not. Nothing where there are none."""
    if not trees:
        return
    for number, ranker in enumerate(trees.values()):
        ranker.save(folder / f"head-{number}")
    (folder / _HEADS).write_text(json.dumps(list(trees)))


def load_trees(folder: Path) -> dict[str, Ranker]:
    """What `save_trees` wrote; none in a bundle without. Raises: BundleError for a file that is damaged."""
    path = folder / _HEADS
    if not path.is_file():
        return {}
    try:
        names = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise BundleError(f"{path}: no names of heads ({error})") from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise BundleError(f"{path}: a list of names is expected")
    return {name: Ranker.load(folder / f"head-{number}") for number, name in enumerate(names)}


def save_propensities(folder: Path, propensities: Propensities | None) -> None:
    """Write the propensities, where there are some."""
    if propensities is not None:
        (folder / _PROPENSITIES).write_text(propensities.model_dump_json(indent=1))


def load_propensities(folder: Path) -> Propensities | None:
    """What `save_propensities` wrote; None where there is none. Raises: BundleError for a damaged file."""
    path = folder / _PROPENSITIES
    if not path.is_file():
        return None
    try:
        return Propensities.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise BundleError(f"{path}: no propensities of positions ({error})") from error
