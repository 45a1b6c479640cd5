"""MovieLens in its other formats: 1M and 10M (`::`), latest-small and 25M (CSV).

Films get title, year and genres; users, where the release has them (1M), age, gender and occupation.
Age is the lower end of a range there and occupation a number, as published. Tags are left out: most are
younger than the ratings, and a film's later tags must not be known to an earlier request.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from funnel.data.dataset import Dataset
from funnel.data.readers.parsing import Fields, TextTable, require
from funnel.data.readers.ratings import MOVIELENS, keep_rated, titles_and_years
from funnel.errors import DataError
from funnel.plugins import register

_EVENTS: Fields = {"userId": "int", "movieId": "int", "rating": "float", "timestamp": "int"}
_MOVIES: Fields = {"movieId": "int", "title": "text", "genres": "text"}
_USERS: Fields = {"userId": "int", "gender": "text", "age": "int", "occupation": "text"}
_KEYS = {"userId": "user_id", "movieId": "item_id", "timestamp": "time"}
_NO_GENRE = "(no genres listed)"


@register("reader", "movielens")
def read_movielens(path: str | Path, *, min_rating: float | None = None) -> Dataset:
    """The release in the folder `path`, whichever of the two formats it has.

    min_rating: keep the ratings at or above it; None keeps all.
    Raises DataError for files that are missing or wrong.
    """
    folder = Path(path)
    if (folder / "ratings.dat").is_file():
        events, movies, users = _dat(folder)
    elif (folder / "ratings.csv").is_file():
        require(folder, "ratings.csv", "movies.csv")
        events = TextTable(folder / "ratings.csv", ",", quoted=True).read(_EVENTS)
        movies = TextTable(folder / "movies.csv", ",", quoted=True).read(_MOVIES)
        users = None
    else:
        raise DataError(
            f"{folder}: MovieLens is not there; expected ratings.dat and movies.dat (1M, 10M), "
            "or ratings.csv and movies.csv (latest-small, 25M)"
        )
    genres = movies["genres"].where(movies["genres"] != _NO_GENRE, "")
    items = titles_and_years(movies["title"]).assign(item_id=movies["movieId"], genres=genres)
    events = keep_rated(events.rename(columns=_KEYS), min_rating)
    schema = MOVIELENS if users is not None else MOVIELENS.model_copy(update={"users": ()})
    return Dataset.from_frames(schema, events, users, items, name=folder.resolve().name)


def _dat(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame | None]:
    """Lines with `::` between the fields; 10M has no users.dat."""
    require(folder, "ratings.dat", "movies.dat")
    events = TextTable(folder / "ratings.dat", "::", names=tuple(_EVENTS)).read(_EVENTS)
    movies = TextTable(folder / "movies.dat", "::", names=tuple(_MOVIES)).read(_MOVIES)
    if not (folder / "users.dat").is_file():
        return events, movies, None
    users = TextTable(folder / "users.dat", "::", names=(*_USERS, "zip")).read(_USERS)
    return events, movies, users.rename(columns=_KEYS)
