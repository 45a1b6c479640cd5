"""The log as a table."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

from funnel.impressions.record import Impression

COLUMNS = (
    "request_id", "user_id", "item_id", "time", "position", "score", "propensity", "version", "call",
)  # fmt: skip


def to_frame(impressions: Iterable[Impression]) -> pd.DataFrame:
    """A row an item that was shown: request_id (the answer's), user_id, item_id, time in seconds, position
    from 0, score in front of re-ranking, propensity, version, call, and `arms.NAME` for each experiment."""
    rows = [row for impression in impressions for row in rows_of(impression)]
    return pd.DataFrame(rows, columns=None if rows else list(COLUMNS))


def rows_of(impression: Impression) -> list[dict[str, Any]]:
    """The rows of one answer."""
    arms = {f"arms.{name}": arm for name, arm in impression.arms.items()}
    scores, chances = impression.scores.tolist(), impression.chances
    return [
        {
            "request_id": impression.id,
            "user_id": impression.user,
            "item_id": impression.items[at],
            "time": impression.time,
            "position": position,
            "score": scores[at],
            "propensity": chances[position],
            "version": impression.version,
            "call": impression.call,
            **arms,
        }
        for position, at in enumerate(impression.shown)
    ]
