"""A small data set in a public format, and a bundle made from it: real files for tests, ready in seconds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from funnel import config as configs
from funnel.artifacts import Store
from funnel.config import Config
from funnel.pipeline import Built, Prepared, build, prepare, train_towers

GENRES = ("Comedy", "Drama", "Horror", "Sci-Fi", "Romance")


@dataclass(frozen=True)
class TinyBuild:
    """What `build_movies` leaves."""

    config: Config
    prepared: Prepared
    built: Built
    indexes: Path
    embeddings: Path


def write_movies(folder: Path, *, users: int, movies: int, seed: int) -> None:
    """ratings.csv and movies.csv: each user likes two genres and goes from movie to movie within them."""
    rng = np.random.default_rng(seed)
    genre = rng.integers(len(GENRES), size=(movies, 2))
    weight = 1 / np.arange(1, movies + 1) ** 0.6
    rows = []
    for user in range(1, users + 1):
        liked = rng.choice(len(GENRES), size=2, replace=False)
        fit = np.isin(genre, liked).sum(axis=1)
        chance = weight * np.exp(2.0 * fit)
        count = int(rng.integers(10, 50))
        chosen = rng.choice(movies, size=count, replace=False, p=chance / chance.sum())
        start = 1_000_000_000 + rng.integers(0, 300 * 86_400)
        times = start + np.sort(rng.integers(0, 60 * 86_400, size=count))
        rows += [(user, int(item) + 1, 4.0, int(time)) for item, time in zip(chosen, times, strict=True)]
    ratings = pd.DataFrame(rows, columns=["userId", "movieId", "rating", "timestamp"])
    ratings.to_csv(folder / "ratings.csv", index=False)
    names = ["|".join(sorted({GENRES[g] for g in pair})) for pair in genre]
    titles = [f"Movie {number} ({1980 + number % 30})" for number in range(1, movies + 1)]
    table = pd.DataFrame({"movieId": np.arange(1, movies + 1), "title": titles, "genres": names})
    table.to_csv(folder / "movies.csv", index=False)


def movie_config(folder: Path, **sections: Any) -> Config:
    """A config that is quick on the small movies; sections replace its own."""
    raw: dict[str, Any] = {
        "name": "movies",
        "data": {"reader": "movielens", "path": str(folder)},
        "split": {"kind": "time", "protocol": "event", "ranker": 0.6, "test": 0.8},
        "towers": {"d": 16, "layers": 1, "heads": 1, "epochs": 6, "history": 20},
        "ranker": {"trees": 60, "leaves": 15, "lists": 500, "objective": "rank_xendcg"},
        # So that the ranker has something to add in a world this small.
        "retrieve": {"k": 100, "sources": ["towers", "popular"]},
        "evaluate": {"ks": [10, 50], "latency_requests": 5},
        # A test never asserts a time; 80 users tell no small falls from chance.
        "gates": {"holdout": 800, "latency_ms": 10_000.0, "visible_fall": 0.3},
    }
    return configs.parse({**raw, **sections})


def build_movies(folder: Path, where: Path, **sections: Any) -> TinyBuild:
    """Train, build and publish under `where`."""
    config = movie_config(folder, **sections)
    prepared = prepare(config)
    embeddings, indexes = where / "embeddings", where / "indexes"
    towers = train_towers(prepared, Store(embeddings))
    built = build(prepared, towers, Store(indexes))
    Store(indexes).publish(built.version)
    return TinyBuild(config, prepared, built, indexes, embeddings)
