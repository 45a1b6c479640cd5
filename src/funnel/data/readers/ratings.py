"""What the readers of ratings share: the threshold, and MovieLens titles."""

from __future__ import annotations

import pandas as pd

from funnel.data.schema import Column, Schema

MOVIE_COLUMNS = (
    Column(name="title", kind="text"),
    Column(name="genres", kind="multi_category"),
    Column(name="year", kind="number"),
)
PERSON_COLUMNS = (
    Column(name="age", kind="number"),
    Column(name="gender", kind="category"),
    Column(name="occupation", kind="category"),
)
RATING_COLUMNS = (Column(name="rating", kind="number", required=True),)
MOVIELENS = Schema(users=PERSON_COLUMNS, items=MOVIE_COLUMNS, events=RATING_COLUMNS)

# "Toy Story (1995)"; a few straight-to-video films have a "(V)" behind the year.
_TITLE = r"^(?P<title>.*?)\s*(?:\((?P<year>\d{4})\)(?:\s*\(V\))?)?\s*$"


def keep_rated(events: pd.DataFrame, min_rating: float | None) -> pd.DataFrame:
    """The events rated at least `min_rating`; all of them for None."""
    return events if min_rating is None else events[events["rating"] >= min_rating]


def titles_and_years(titles: pd.Series) -> pd.DataFrame:
    """ "Toy Story (1995)" as the columns title and year (NaN where there is none)."""
    parts = titles.str.extract(_TITLE)
    return pd.DataFrame({"title": parts["title"], "year": pd.to_numeric(parts["year"])})
