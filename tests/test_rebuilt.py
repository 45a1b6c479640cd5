"""A change made by id, and a bundle that is built from later data: the fresher of the two is served."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd

from funnel import Live
from funnel.artifacts import Store
from funnel.pipeline import prepare, train_towers
from tests.serving.test_items import frame
from tests.tiny import TinyBuild, movie_config
from tests.undrawn import build

SMALL = {"d": 16, "layers": 1, "heads": 1, "epochs": 1, "history": 20}


def titles(live: Live) -> dict[int, str]:
    return {item.item_id: item.attributes["title"] for item in live.recommend("nobody", 500).items}


def test_what_was_corrected_at_the_source_wins_over_an_older_change(
    built: TinyBuild, movies: Path, tmp_path: Path
) -> None:
    """Changed on Monday, built on Tuesday from data that know better, changed again on Wednesday."""
    store = Store(shutil.copytree(built.indexes, tmp_path / "indexes"))
    live = Live(store.folder)
    live.items.upsert(frame([5, 6], [1990.0, 1991.0]).assign(title="Monday's"))
    live.items.patch([7], {"year": 1850.0})
    data = Path(shutil.copytree(movies, tmp_path / "data"))
    table = pd.read_csv(data / "movies.csv")
    table.loc[table["movieId"].isin([5, 6, 7]), "title"] = "Tuesday's (1980)"
    table.to_csv(data / "movies.csv", index=False)
    prepared = prepare(movie_config(data, towers=SMALL))
    later = build(prepared, train_towers(prepared, Store(tmp_path / "embeddings")), store).version
    live.items.upsert(frame([6], [1991.0]).assign(title="Wednesday's"))
    store.publish(later)
    assert live.refresh()
    for one in (live, Live(store.folder)):
        found = titles(one)
        assert (found[5], found[6]) == ("Tuesday's", "Wednesday's")
        assert one.recommend("nobody", 500, where={"year": {"lt": 1900}}).items == ()
        one.close()
