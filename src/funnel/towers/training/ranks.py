"""The processes of one training, and what they say to each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from funnel.errors import ConfigError, DataError


@dataclass(frozen=True, slots=True)
class Shard:
    """Which items a process holds: those of row number, number + of, number + 2 of, …

    So new items, which come behind the others, are spread over all processes.
    """

    number: int = 0
    of: int = 1

    def rows(self, n: int) -> slice:
        """Its rows among those of n items."""
        return slice(self.number, n, self.of)

    def size(self, n: int) -> int:
        """How many these are."""
        return len(range(self.number, n, self.of))


class Ranks:
    """A group of processes that call the same methods in the same order. None is this process alone.

    group: of an initialised `torch.distributed`, with gloo or any other backend that has all-to-all.
    """

    def __init__(self, group: Any = None) -> None:
        self._group = group
        self.rank = 0 if group is None else dist.get_rank(group)
        self.size = 1 if group is None else dist.get_world_size(group)

    @classmethod
    def here(cls) -> Ranks:
        """All processes of the initialised group. Raises: ConfigError where none is initialised."""
        if not (dist.is_available() and dist.is_initialized()):
            raise ConfigError(
                "sharded training runs in a process group, and none is initialised: call "
                "torch.distributed.init_process_group first, in each process"
            )
        return cls(dist.group.WORLD)

    @property
    def shard(self) -> Shard:
        """The items of this process."""
        return Shard(self.rank, self.size)

    def add(self, tensor: Tensor) -> Tensor:
        """The sum over all processes, in place."""
        if self.size > 1:
            dist.all_reduce(tensor, group=self._group)
        return tensor

    def exchange(self, rows: Tensor, counts: list[int]) -> tuple[Tensor, list[int]]:
        """All-to-all: the first counts[0] rows go to process 0, the next to process 1, …

        Returns what came, in the order of the processes, and how many rows from each.
        """
        if self.size == 1:
            return rows, counts
        coming = torch.empty(self.size, dtype=torch.int64, device=rows.device)
        wanted = torch.tensor(counts, dtype=torch.int64, device=rows.device)
        dist.all_to_all_single(coming, wanted, group=self._group)
        return self.answer(rows, counts, coming.tolist()), coming.tolist()

    def answer(self, rows: Tensor, counts: list[int], coming: list[int]) -> Tensor:
        """All-to-all where it is known how many rows come from each."""
        if self.size == 1:
            return rows
        out = rows.new_empty(sum(coming), *rows.shape[1:])
        dist.all_to_all_single(out, rows.contiguous(), coming, counts, group=self._group)
        return out

    def gather(self, rows: Tensor) -> list[Tensor]:
        """The rows of every process, by process; as many columns in each."""
        if self.size == 1:
            return [rows]
        n = torch.tensor([len(rows)], dtype=torch.int64, device=rows.device)
        sizes = [torch.empty_like(n) for _ in range(self.size)]
        dist.all_gather(sizes, n, group=self._group)
        most = max(int(size) for size in sizes)
        padded = rows.new_zeros(most, *rows.shape[1:])
        padded[: len(rows)] = rows
        out = [torch.empty_like(padded) for _ in range(self.size)]
        dist.all_gather(out, padded, group=self._group)
        return [part[: int(size)] for part, size in zip(out, sizes, strict=True)]

    def same(self, digest: str, what: str) -> None:
        """Raises: DataError in each process where they differ. digest: hexadecimal."""
        mine = torch.frombuffer(bytearray.fromhex(digest), dtype=torch.uint8)
        for rank, other in enumerate(self.gather(mine)):
            if not torch.equal(other, mine):
                raise DataError(
                    f"process {rank} of {self.size} was given another {what} than process {self.rank}: all "
                    "processes of a training are given the same"
                )

    def all_true(self, value: bool) -> bool:
        """Whether it holds in every process."""
        return int(self.add(torch.tensor([int(value)]))) == self.size

    def wait(self) -> None:
        """Until every process is here."""
        self.add(torch.zeros(1))

    def add_gradients(self, weights: Sequence[nn.Parameter], loss: float) -> float:
        """Sum the gradients of weights, and a loss, over all processes in one message. A weight stays without
        where it has none in any process."""
        if self.size == 1:
            return loss
        grads = [torch.zeros_like(w) if w.grad is None else w.grad for w in weights]
        there = torch.tensor([float(w.grad is not None) for w in weights] + [loss], device=grads[0].device)
        flat = self.add(torch.cat([there, *(grad.flatten() for grad in grads)]))
        parts = torch.split(flat[len(there) :], [w.numel() for w in weights])
        for weight, some, part in zip(weights, flat[: len(weights)].tolist(), parts, strict=True):
            weight.grad = part.view_as(weight) if some else None
        return float(flat[len(weights)])

    def from_first(self, text: str) -> str:
        """The text of process 0."""
        texts = self.gather(torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8))[0]
        return texts.numpy().tobytes().decode()
