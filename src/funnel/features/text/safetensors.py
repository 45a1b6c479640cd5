"""Weights in the format safetensors: a length, a JSON head, and numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funnel.errors import FunnelError

_TYPES = {"F32": np.float32, "I64": np.int64}


def read_safetensors(path: Path) -> dict[str, NDArray[Any]]:
    """Arrays by name, mapped and not read (https://huggingface.co/docs/safetensors).

    Raises: FunnelError where the file is missing, damaged, or holds numbers of another type than float32 and
    int64.
    """
    try:
        whole = np.memmap(path, dtype=np.uint8, mode="r")
        length = int(whole[:8].view("<u8")[0])
        head = json.loads(whole[8 : 8 + length].tobytes())
        data = whole[8 + length :]
        return {name: _array(data, part) for name, part in head.items() if name != "__metadata__"}
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise FunnelError(f"{path} cannot be read ({error!r}): install its package again") from error


def _array(data: NDArray[np.uint8], part: dict[str, Any]) -> NDArray[Any]:
    first, stop = part["data_offsets"]
    if not 0 <= first <= stop <= len(data):
        raise ValueError("its numbers end early")
    return data[first:stop].view(_TYPES[part["dtype"]]).reshape(part["shape"])
