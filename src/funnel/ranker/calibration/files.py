"""A bundle's calibrations on disk: `ranker/probabilities.json`, a head a key."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from funnel.errors import BundleError
from funnel.ranker.calibration.choose import Head

_FILE = "probabilities.json"
_HEADS = TypeAdapter(dict[str, Head])


def save_heads(folder: Path, heads: Mapping[str, Head]) -> None:
    """Write the heads into the ranker's folder."""
    content = {name: head.model_dump(mode="json", exclude_none=True) for name, head in heads.items()}
    (folder / _FILE).write_text(json.dumps(content, indent=1, sort_keys=True))


def load_heads(folder: Path) -> dict[str, Head]:
    """What `save_heads` wrote; none in a bundle without probabilities.

    Raises: BundleError for a file that is damaged, or whose curve falls or leaves 0 to 1.
    """
    path = folder / _FILE
    if not path.is_file():
        return {}
    try:
        return _HEADS.validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise BundleError(f"{path}: no calibrations of a ranker's scores ({error})") from error
