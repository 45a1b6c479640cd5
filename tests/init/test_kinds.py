"""What kind of column a column of foreign text is, and what is said of one that is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from funnel.config import load
from funnel.data import Dataset
from funnel.data.table_file import TableFile
from funnel.init import Guess, guess, write
from funnel.init.event_kinds import ENOUGH_EVENTS, find_kinds
from funnel.init.keys import find_keys
from funnel.init.sampling import Sample
from funnel.init.table_files import TableFiles
from funnel.pipeline import prepare

from .shops import Shop, guessed, kinds, shop, unused

SHOP = shop(n_events=300)
N = len(SHOP.items)
RNG = np.random.default_rng(3)
VECTORS = RNG.normal(size=(N, 6)).round(4)


def cycle(*values: str) -> list[str]:
    return [values[row % len(values)] for row in range(N)]


def with_column(values: list[str]) -> Shop:
    return SHOP.replace(items=SHOP.items.assign(it=values))


KINDS: dict[str, tuple[str, list[str], object]] = {
    "true and false": ("boolean", cycle("true", "False"), [True, False]),
    "yes and no": ("boolean", cycle("yes", "no", ""), [True, False, None]),
    "0 and 1": ("boolean", cycle("1", "0"), [True, False]),
    "numbers": ("number", cycle("1.5", "2", "-3e2"), [1.5, 2.0, -300.0]),
    "numbers with gaps": ("number", cycle("1.5", "NaN", "", "7"), [1.5, None, None, 7.0]),
    "codes": ("category", cycle("007", "123", "450"), ["007", "123", "450"]),
    "labels": ("category", cycle("red", "blue", "green"), ["red", "blue", "green"]),
    "labels with a comma": ("category", cycle("Smith, John", "Doe"), ["Smith, John", "Doe"]),
    "tags, |": ("multi_category", cycle("a|b", "b", "c|a"), [["a", "b"], ["b"], ["c", "a"]]),
    "tags, comma": ("multi_category", cycle("a, b", "b", "c,a"), [["a", "b"], ["b"], ["c", "a"]]),
    "tags, semicolon": ("multi_category", cycle("a;b", "b", ""), [["a", "b"], ["b"], []]),
    "tags as Python": ("multi_category", cycle("['a', 'b']", "[]", "['c']"), [["a", "b"], [], ["c"]]),
    "tags as JSON": ("multi_category", cycle('["a, x", "b"]', '["b"]', "[]"), [["a, x", "b"], ["b"], []]),
    "tags as Postgres": ("multi_category", cycle("{a,b}", "{b}", "{}"), [["a", "b"], ["b"], []]),
    "vectors as JSON": ("vector", [str(list(map(float, v))) for v in VECTORS], VECTORS[:3]),
    "vectors with blanks": ("vector", [" ".join(map(str, v)) for v in VECTORS], VECTORS[:3]),
    "vectors as NumPy": ("vector", [f"[{' '.join(map(str, v))}]" for v in VECTORS], VECTORS[:3]),
    "vectors with |": ("vector", ["|".join(map(str, v)) for v in VECTORS], VECTORS[:3]),
    "vectors with gaps": (
        "vector", ["", *[";".join(map(str, v)) for v in VECTORS[1:]]], [None, *VECTORS[1:3]]
    ),
    "texts": ("text", [f"a long {row} text about it" for row in range(N)], ["a long 0 text about it"]),
}  # fmt: skip


@pytest.fixture(scope="module")
def all_kinds(tmp_path_factory: pytest.TempPathFactory) -> tuple[Guess, Dataset]:
    """Of one table with a column of each kind, under names that say nothing."""
    items = SHOP.items.assign(**{named(name): values for name, (_, values, _) in KINDS.items()})
    return guessed(SHOP.replace(items=items).write(tmp_path_factory.mktemp("kinds"), sep="\t"))


def named(name: str) -> str:
    return f"it{[*KINDS, *NONE].index(name)}"


@pytest.mark.parametrize("name", KINDS)
def test_kinds_and_what_is_read(name: str, all_kinds: tuple[Guess, Dataset]) -> None:
    kind, _, first = KINDS[name]
    made, data = all_kinds
    assert kinds(made, "items")[named(name)] == kind
    for found, wanted in zip(data.items[named(name)], first, strict=False):  # type: ignore[call-overload]
        if isinstance(wanted, np.ndarray):
            np.testing.assert_allclose(found, wanted, rtol=1e-5)
        elif wanted is None:
            assert found is None or pd.isna(found)
        else:
            assert found == wanted


NONE: dict[str, tuple[list[str], str]] = {
    "nothing": ([""] * N, "no value"),
    "always the same": (["x"] * N, "in every row"),
    "addresses": ([f"https://shop/{row}.jpg" for row in range(N)], "addresses"),
    "mail": ([f"{row}@shop.com" for row in range(N)], "addresses"),
    "an id a row": ([f"h{row:x}x" for row in range(N)], "of its own in each row"),
    "moments": ([f"2025-01-{row % 28 + 1:02d} 10:00:00" for row in range(N)], "moments"),
    "money": ([f"{row}.50 €" for row in range(N)], "write the number alone"),
    "vectors of two sizes": (
        [", ".join(map(str, VECTORS[row][: 6 - row % 3 // 2])) for row in range(N)],
        "vectors of different lengths: 20 of 60",
    ),
}


def test_what_cannot_be_used_is_listed_with_its_reason(tmp_path: Path) -> None:
    """And every column is a key, or declared, or listed."""
    items = SHOP.items.assign(**{named(name): values for name, (values, _) in NONE.items()})
    made, data = guessed(SHOP.replace(items=items).write(tmp_path, sep="\t"))
    for name, (_, why) in NONE.items():
        assert why in unused(made)[f"items.{named(name)}"], name
        assert named(name) not in data.items
    told = {one.where for one in (*made.findings, *made.unused)}
    assert {f"items.{name}" for name in items} <= told


def sampled(kinds_of_events: list[str], users: int) -> Sample:
    n = len(kinds_of_events)
    frame = pd.DataFrame(
        {
            "user_id": [f"u{row % users}" for row in range(n)],
            "item_id": [f"i{row % 50}" for row in range(n)],
            "event": kinds_of_events,
        },
        dtype="str",
    )
    found = TableFiles("events.csv", (Path("events.csv"),))
    return Sample(found, TableFile(path="events.csv"), frame, n, True)


def counted(shares: dict[str, int], users: int = 1000) -> set[str]:
    names = [name for name, count in shares.items() for _ in range(count)]
    keyed = find_keys(sampled(names, users), {})
    kinds = find_kinds(keyed, {"user_id": "user_id", "item_id": "item_id"})
    assert kinds is not None
    assert {*kinds.history, *kinds.negatives, *kinds.ignore} == set(shares)
    return set(kinds.targets or kinds.history)


def test_the_deepest_kinds_that_there_is_enough_of_count() -> None:
    much, some, few = 4 * ENOUGH_EVENTS, ENOUGH_EVENTS, ENOUGH_EVENTS // 10
    assert counted({"view": much, "cart": some, "buy": some}) == {"buy"}
    assert counted({"view": much, "cart": some, "buy": few}) == {"cart", "buy"}
    assert counted({"view": much, "cart": few, "buy": few}) == {"view", "cart", "buy"}
    assert counted({"view": much, "buy": some}, users=5000) == {"view", "buy"}  # two a user


def test_what_takes_back_or_was_only_shown_never_counts() -> None:
    shares = {"impression": 900, "click": 300, "add_to_cart": 50, "remove_from_cart": 20, "purchase": 10}
    assert counted(shares) == {"click", "add_to_cart", "purchase"}


def test_ratings_all_count_and_that_is_said(tmp_path: Path) -> None:
    events = SHOP.events.assign(rating=["1", "3", "5"] * 100).drop(columns="event")
    made, data = guessed(SHOP.replace(events=events).write(tmp_path))
    assert len(data.events) == 300
    (said,) = [one for one in made.findings if one.what == "each rating counts"]
    assert (said.where, said.sure) == ("events.rating", "unsure")


def test_unknown_kinds_go_by_how_rare_they_are() -> None:
    much, some = 4 * ENOUGH_EVENTS, ENOUGH_EVENTS
    assert counted({"alpha": much, "beta": some}) == {"beta"}


def test_what_kinds_are_for_stands_in_the_config_and_a_person_can_change_that(tmp_path: Path) -> None:
    what = ["impression", "view", "buy", "hide", "add to cart"] * 60
    events = SHOP.events.assign(event=what, revenue=["0", "0", "9.5", "0", "0"] * 60)
    made = guess(SHOP.replace(events=events).write(tmp_path))
    write(made, tmp_path / "shop.toml", data=str(tmp_path))
    config = load(tmp_path / "shop.toml")
    assert config.events.history == {"view": 1.0, "buy": 4.0, "add to cart": 3.0}
    assert config.events.targets == ()  # of so few events all are to be found
    assert config.events.negatives == ("hide",)
    assert config.events.ignore == ("impression",)
    assert config.split.exclude_seen == ("buy",)
    data = Dataset.from_folder(tmp_path)
    assert data.events["kind"].value_counts().to_dict() == dict.fromkeys(what[:5], 60)
    assert data.events["value"].sum() == 60 * 9.5
    parts = prepare(config, data).split
    assert parts.kinds is not None
    assert parts.kinds.target_names == ("add to cart", "buy", "view")


def test_kinds_that_never_have_an_item_are_none_of_the_config(tmp_path: Path) -> None:
    """A search, the start of a session: rows without an item are left out, and their kind with them."""
    events = SHOP.events.assign(event=["view", "search", "buy"] * 100, revenue=["0", "", "9.5"] * 100)
    events.loc[1::3, "item_id"] = ""
    made = guess(SHOP.replace(events=events).write(tmp_path))
    write(made, tmp_path / "shop.toml", data=str(tmp_path))
    config, data = load(tmp_path / "shop.toml"), Dataset.from_folder(tmp_path)
    assert config.events.history == {"view": 1.0, "buy": 4.0}
    assert data.events["value"].sum() == 9.5 * 100
    assert prepare(config, data).split.kinds is not None


def test_a_column_that_is_only_called_kind_or_value_is_not_used_as_one(tmp_path: Path) -> None:
    events = SHOP.events.drop(columns="event").assign(
        kind=[f"{row}" for row in range(300)], value=["-1", ""] * 150
    )
    made, data = guessed(SHOP.replace(events=events).write(tmp_path))
    assert {"events.kind", "events.value"} <= set(unused(made))
    assert data.log.kinds is None
    assert data.log.values is None
