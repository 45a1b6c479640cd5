"""A reader of ratings with a header: who, what, how much, when."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

import funnel


@funnel.register("reader", "ratings_csv")
def read_ratings(path: Path, *, least: float = 0.0) -> funnel.Dataset:
    """least: ratings below it are no interaction. Raises: DataError where a file cannot be read."""
    try:
        ratings, movies = (pd.read_csv(Path(path) / name) for name in ("ratings.csv", "movies.csv"))
    except (OSError, ValueError) as error:
        raise funnel.DataError(f"{path}: ratings.csv and movies.csv are expected ({error})") from error
    names = {"userId": "user_id", "movieId": "item_id", "timestamp": "time"}
    events = ratings[ratings["rating"] >= least].rename(columns=names)[list(names.values())]
    columns = (
        funnel.Column(name="title", kind="text"),
        funnel.Column(name="genres", kind="multi_category"),
    )
    items = movies.rename(columns=names)
    return funnel.Dataset.from_frames(funnel.Schema(items=columns), events, items=items, name="ratings")
