"""Impressions for tests."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from funnel.impressions import Impression, answers_folder, as_line
from funnel.impressions.files import hour_of, hour_text

NOW = 1_790_000_000.25


def impression(number: int = 0, **fields: Any) -> Impression:
    """One answer that showed the first, third and second of five items."""
    usual: dict[str, Any] = {
        "id": f"{number:024x}",
        "time": NOW + number,
        "user": number,
        "version": "movies-0123456789ab",
        "k": 3,
        "items": (10, 20, 30, 40, 50),
        "scores": np.array([5, 4, 3, 2, 1], dtype=np.float32) / 3,
        "shown": (0, 2, 1),
    }
    return Impression(**{**usual, **fields})


def same(left: Impression, right: Impression) -> bool:
    """Whether every field is the same, NaN included."""
    names = [name for name in Impression.__slots__ if name != "scores"]
    fields = all(getattr(left, name) == getattr(right, name) for name in names)
    return fields and np.array_equal(left.scores, right.scores, equal_nan=True)


def write_log(folder: Path, answers: Iterable[Impression]) -> None:
    """The log of answers of a store, as one process writes it."""
    lines: dict[int, list[bytes]] = {}
    for answer in answers:
        lines.setdefault(hour_of(answer.time), []).append(as_line(answer))
    answers_folder(folder).mkdir(parents=True, exist_ok=True)
    for hour, some in lines.items():
        (answers_folder(folder) / f"{hour_text(hour)}.host-1-ab.jsonl").write_bytes(b"".join(some))
