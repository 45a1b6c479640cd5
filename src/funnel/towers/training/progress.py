"""The progress bar of training."""

from __future__ import annotations

from types import TracebackType
from typing import Self

import rich.console
import rich.progress


class TrainingProgress:
    """Epochs, loss, validation and speed on one line; nothing at all when not shown."""

    def __init__(self, epochs: int, *, shown: bool) -> None:
        self._bar = rich.progress.Progress(
            rich.progress.TextColumn("towers {task.description}"),
            rich.progress.BarColumn(),
            rich.progress.TextColumn("{task.fields[note]}"),
            rich.progress.TimeElapsedColumn(),
            console=(console := rich.console.Console(stderr=True)),
            disable=not (shown and console.is_terminal),  # elsewhere the log says how far it is
        )
        self._epochs, self._task = epochs, self._bar.add_task("", total=None, note="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def step(self, positions: int, total: int) -> None:
        """Positions of the present epoch, of about `total`, were trained."""
        self._bar.update(self._task, advance=positions, total=total)

    def epoch(self, number: int, loss: float, validation: float | None, best: float | None) -> None:
        """An epoch ended; without a validation, of as many as there will be."""
        measured = "" if validation is None else f"  NDCG@100 {validation:.4f} (best {best:.4f})"
        note = f"loss {loss:.3f}{measured}"
        self._bar.reset(self._task, description=f"{number + 1} of at most {self._epochs} epochs", note=note)
