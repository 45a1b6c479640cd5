"""Weights as they were after an epoch, outside of memory."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor

log = logging.getLogger(__name__)

#: Numbers that go through memory at once, and bytes that each tensor begins at a multiple of.
PART, ALIGNED = 1 << 20, 64


class Snapshot:
    """A module's state in a file without a name, which is gone with the process: a table of millions of
    items is not held twice for the epoch that did best. Where there is no room for the file it stays in
    memory.

    folder: where the file is; None: where temporary files are.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._file: IO[bytes] | None = None
        self._held: dict[str, Tensor] = {}
        self._parts: dict[str, tuple[int, int, np.dtype[Any], tuple[int, ...]]] = {}

    def keep(self, state: Mapping[str, Tensor]) -> None:
        """Remember a module's `state_dict`, or arrays of a `state`, in place of what was kept before."""
        self._held, self._parts = {}, {}
        try:
            self._write(state)
        except OSError as error:
            log.warning("no room for the best weights in a file (%s); they are kept in memory", error)
            self._parts, self._held = (
                {},
                {name: tensor.detach().cpu().clone() for name, tensor in state.items()},
            )

    def state(self) -> dict[str, Tensor]:
        """What was kept, mapped from the file."""
        if self._held or self._file is None:
            return dict(self._held)
        whole = np.memmap(self._file, np.uint8, "c")
        return {
            name: torch.from_numpy(whole[at : at + size].view(dtype).reshape(shape))
            for name, (at, size, dtype, shape) in self._parts.items()
        }

    def _write(self, state: Mapping[str, Tensor]) -> None:
        if self._file is None:
            if self._folder is not None:
                self._folder.mkdir(parents=True, exist_ok=True)
            self._file = tempfile.TemporaryFile(dir=self._folder, prefix="best-")  # noqa: SIM115 - kept open
        self._file.seek(0)
        for name, tensor in state.items():
            self._file.seek(-(-self._file.tell() // ALIGNED) * ALIGNED)
            at = self._file.tell()
            for part in torch.split(tensor.detach().reshape(-1), PART):
                self._file.write(part.cpu().numpy().tobytes())
            array = tensor.new_empty(0, device="cpu").numpy()
            size = self._file.tell() - at
            self._parts[name] = at, size, array.dtype, tuple(tensor.shape)
        self._file.flush()
