"""What towers are trained on: the CPU's cores, or a GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from funnel.errors import ConfigError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Device:
    """Where tensors are. mixed: whether products are computed in bfloat16; weights, moments, losses and
    sums of gradients stay in float32."""

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    mixed: bool = False

    @classmethod
    def named(cls, name: str) -> Device:
        """ "cpu", "cuda", or "auto": CUDA where there is one. Raises: ConfigError where CUDA is named and
        there is none."""
        there = torch.cuda.is_available()
        if name == "cuda" and not there:
            raise ConfigError(
                'towers.device is "cuda", and torch finds no CUDA device: leave it at "auto", set "cpu", or '
                f"install a torch built for the machine's driver (this is {torch.__version__})"
            )
        if name == "cpu" or not there:
            return cls()
        return cls(torch.device("cuda"), torch.cuda.is_bf16_supported())

    @property
    def is_cpu(self) -> bool:
        """Whether it is the CPU, whose cores share a step."""
        return self.device.type == "cpu"

    def autocast(self) -> AbstractContextManager[Any]:
        """In which products are computed as `mixed` says; one a thread."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.mixed)

    def put(self, array: NDArray[Any]) -> Tensor:
        """An array as a tensor there: the same memory on the CPU; from `pinned` memory it does not wait."""
        return torch.from_numpy(array).to(self.device, non_blocking=True)

    def pinned(self, value: T) -> T:
        """A dataclass, or a tuple of them, whose arrays lie where a GPU reads them by itself."""
        if self.is_cpu:
            return value
        return _each_array(value, lambda array: torch.from_numpy(array).pin_memory().numpy())


def _each_array(value: Any, change: Any) -> Any:
    if isinstance(value, np.ndarray):
        return change(value)
    if isinstance(value, tuple):
        return tuple(_each_array(part, change) for part in value)
    if is_dataclass(value) and not isinstance(value, type):
        changes = {part.name: _each_array(getattr(value, part.name), change) for part in fields(value)}
        return replace(value, **changes)
    return value


def ahead(values: Iterable[T], change: Callable[[T], T]) -> Iterator[T]:
    """The same values, changed, each made on a thread while the one before it is worked on."""
    iterator, end = iter(values), object()

    def following() -> Any:
        value = next(iterator, end)
        return value if value is end else change(value)  # type: ignore[arg-type]

    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(following)
        while (value := coming.result()) is not end:
            coming = pool.submit(following)
            yield value
