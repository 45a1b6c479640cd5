"""Live traffic becomes data: each event once, each list once, with what came of it, wherever it is killed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from funnel import Column, Dataset, Event, Schema, SqliteLog, Store, configure
from funnel.cli import app
from funnel.config import Config, parse
from funnel.data.files import Description, write_folder
from funnel.errors import ConfigError, DataError
from funnel.impressions import Impression, Recorder, answers_folder, read, shadow_folder
from funnel.pipeline.ingest import Ingested, ingest
from funnel.pipeline.run.runner import run
from tests.impressions.records import NOW, impression
from tests.processes import python

HOURS = 3600


class Shop:
    """A folder of data, a store with a log of answers and a state."""

    def __init__(self, folder: Path, **config: Any) -> None:
        self.data, self.store = folder / "data", Store(folder / "indexes")
        self.state = SqliteLog(folder / "indexes" / "live" / "state.sqlite")
        raw = {"name": "shop", "data": {"reader": "folder", "path": str(self.data)}, **config}
        self.config: Config = parse(raw)

    def answer(self, *some: Impression) -> None:
        recorder = Recorder(answers_folder(self.store.folder))
        for one in some:
            recorder.put(lambda one=one: one)
        recorder.close()

    def ingest(self, at: float = NOW + 100_000) -> Ingested:
        return ingest(self.config, self.store, self.state, clock=lambda: at)

    @property
    def dataset(self) -> Dataset:
        return Dataset.from_folder(self.data)


SCHEMA = Schema(events=(Column(name="device", kind="category", context=True),))


def tables(users: list[Any], items: list[Any], **more: Any) -> dict[str, pd.DataFrame]:
    events = pd.DataFrame({"user_id": users, "item_id": items, "time": range(10, 10 + len(users)), **more})
    return {"events": events, "items": pd.DataFrame({"item_id": sorted(set(items))})}


def shop_in(folder: Path, schema: Schema = SCHEMA, **kinds: Any) -> Shop:
    base = tables([1, 2, 1, 3], [10, 20, 30, 40], **kinds)
    write_folder(folder / "data", base, Description(**schema.model_dump()))
    return Shop(folder)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    shop = shop_in(tmp_path)
    yield shop
    shop.state.close()


def click(number: int, item: int, after: int = 5, **fields: Any) -> Event:
    one = impression(number)
    usual = {"user_id": str(one.user), "item_id": str(item), "time": int(one.time) + after, "answer": one.id}
    return Event(**{**usual, **fields})


def clicked(dataset: Dataset) -> set[tuple[str, int]]:
    assert dataset.impressions is not None
    rows = dataset.impressions[dataset.impressions["clicked"]]
    return set(zip(rows["request_id"], rows["item_id"].tolist(), strict=True))


def test_events_and_lists_are_read_with_the_tables(shop: Shop) -> None:
    shop.answer(*(impression(number, context={"device": "phone"}) for number in range(5)))
    shop.state.observe([click(1, 30), click(3, 20, value=2.5), Event("9", "10", int(NOW))])
    done = shop.ingest()
    assert (done.events, done.lists.lists, done.lists.rows, done.lists.hours) == (3, 5, 15, 1)
    assert (done.lists.joined.joined, done.compacted.read) == (2, 5)
    data = shop.dataset
    assert len(data.events) == 4 + 3
    assert data.events["user_id"].tolist()[-3:] == [9, 1, 3]
    assert data.events["device"].tolist()[-2:] == ["phone", "phone"]
    assert data.impressions is not None
    assert clicked(data) == {(impression(1).id, 30), (impression(3).id, 20)}
    lists = data.impressions[data.impressions["request_id"] == impression(2).id]  # nobody clicked
    assert lists["item_id"].tolist() == [10, 30, 20]
    assert lists["position"].tolist() == [0, 1, 2]
    assert lists["time"].tolist() == [int(NOW) + 2] * 3
    assert "value" not in data.events.columns  # the tables have none


def test_again_it_changes_nothing(shop: Shop) -> None:
    shop.answer(impression(1), impression(2, time=NOW + HOURS))
    shop.state.observe([click(1, 30)])
    shop.ingest()
    before = {path: path.stat().st_ino for path in shop.data.rglob("*.parquet")}
    done = shop.ingest()
    assert (done.events, done.lists.hours, done.compacted.files, done.forgotten) == (0, 0, 0, 0)
    assert {path: path.stat().st_ino for path in shop.data.rglob("*.parquet")} == before


def test_what_comes_later_changes_the_lists_that_it_comes_of_and_no_others(shop: Shop) -> None:
    shop.answer(impression(1), impression(2, time=NOW + 50 * HOURS))
    assert shop.ingest().lists.hours == 2
    shop.state.observe([click(1, 10, after=HOURS)])
    done = shop.ingest()
    assert (done.events, done.lists.hours) == (1, 1)
    assert clicked(shop.dataset) == {(impression(1).id, 10)}
    shop.answer(impression(3, time=NOW))
    assert shop.ingest().lists.hours == 1
    assert shop.dataset.impressions is not None
    assert shop.dataset.impressions["request_id"].nunique() == 3


def test_feedback_that_was_sent_again_is_one_event_and_one_click(shop: Shop) -> None:
    shop.answer(impression(1))
    shop.state.observe([click(1, 30), click(1, 30, after=6)])
    shop.ingest()
    shop.state.observe([click(1, 30, after=7), click(1, 10)])
    assert shop.ingest().lists.joined.duplicates == 2
    assert len(shop.dataset.events) == 4 + 2
    assert clicked(shop.dataset) == {(impression(1).id, 30), (impression(1).id, 10)}


@pytest.mark.parametrize(
    ("wrong", "figure"),
    [
        ({"item": 50}, "not_shown"), ({"item": 99}, "not_shown"), ({"user_id": "8"}, "other_user"),
        ({"after": -300}, "early"),
    ],
)  # fmt: skip
def test_feedback_that_cannot_be_meant_is_an_event_and_no_click(
    shop: Shop, wrong: dict[str, Any], figure: str
) -> None:
    shop.answer(impression(1))
    shop.state.observe([click(1, **{"item": 30, **wrong}), click(7, 30, answer="f" * 24)])
    joined = shop.ingest().lists.joined
    assert joined.joined == 0
    assert figure == "early" or getattr(joined, figure) == 1
    assert len(shop.dataset.events) == 4 + 2
    assert clicked(shop.dataset) == set()


def test_after_the_window_nothing_comes_of_a_list(tmp_path: Path) -> None:
    shop = shop_in(tmp_path)
    shop.config = shop.config.model_copy(
        update={"impressions": configure("x", impressions={"window": "60s"}).impressions}
    )
    shop.answer(impression(1))
    shop.state.observe([click(1, 30, after=61), click(1, 10, after=60)])
    shop.ingest()
    assert clicked(shop.dataset) == {(impression(1).id, 10)}
    assert len(shop.dataset.events) == 6


def test_lists_of_nobody_and_neighbours_are_counted_and_left_out(shop: Shop) -> None:
    shop.answer(impression(1, user=None), impression(2, call="similar"), impression(3, call="rank"))
    lists = shop.ingest().lists
    assert (lists.lists, lists.nobody, lists.neighbours) == (1, 1, 1)
    assert shop.dataset.impressions is not None
    assert set(shop.dataset.impressions["request_id"]) == {impression(3).id}


def test_events_of_an_answer_that_is_no_list_keep_its_context(shop: Shop) -> None:
    others = [{"user": None}, {"call": "similar"}, {"call": "similar", "user": None}]
    contexts = [{"device": device} for device in ("phone", "tv", "watch")]
    for number, (other, context) in enumerate(zip(others, contexts, strict=True), 1):
        shop.answer(impression(number, context=context, **other))
    shop.answer(impression(4, user=1, context={"device": "desk"}), impression(5, user=None))
    shop.state.observe([click(number, 30, user_id="1") for number in range(1, 6)])
    shop.ingest()
    events = shop.dataset.events
    of_answers = dict(zip(events["time"] - int(NOW) - 5, events["device"], strict=True))
    assert [of_answers[number] for number in range(1, 5)] == ["phone", "tv", "watch", "desk"]
    assert pd.isna(of_answers[5])
    assert shop.dataset.impressions is not None
    assert set(shop.dataset.impressions["request_id"]) == {impression(4).id}
    shop.state.forget_user("2", NOW + 90)  # for whom the neighbours were
    assert shop.ingest().forgotten == 2
    assert shop.dataset.events["device"].isna().sum() == 6


def test_ids_that_are_no_numbers_do_not_make_texts_of_all_others(shop: Shop) -> None:
    shop.answer(impression(1), impression(2, user="stranger"))
    shop.state.observe([Event("stranger", "10", int(NOW)), Event("1", "new-item", int(NOW)), click(1, 10)])
    shop.ingest()
    data = shop.dataset
    assert data.events["user_id"].dtype == np.int64
    assert data.events["item_id"].dtype == np.int64
    assert len(data.events) == 5
    assert sum("ids are no numbers" in note for note in data.notes) == 2


@pytest.mark.parametrize(("context", "kept"), [(True, 1), (False, 0)])
def test_rows_without_what_is_required_are_left_out(tmp_path: Path, context: bool, kept: int) -> None:
    """Of a request without it, or where live traffic never says it; the tables can be read all the same."""
    schema = Schema(events=(Column(name="device", kind="category", context=context, required=True),))
    shop = shop_in(tmp_path, schema, device=["phone", "tv", "tv", "phone"])
    shop.answer(impression(1, context={"device": "phone"}), impression(2, context={}))
    shop.state.observe([click(1, 30), click(2, 10), Event("9", "10", int(NOW))])
    shop.ingest()
    data = shop.dataset
    assert data.events["device"].tolist() == ["phone", "tv", "tv", "phone", *(["phone"] * kept)]
    assert f"events: {3 - kept} ingested rows left out, without the required device" in data.notes


def test_of_lists_without_what_is_required_none_is_left_in_part(tmp_path: Path) -> None:
    schema = Schema(impressions=(Column(name="price", kind="number", required=True),))
    shop = shop_in(tmp_path, schema)
    shop.answer(impression(1), impression(2))
    shop.ingest()
    data = shop.dataset
    assert data.impressions is None or data.impressions.empty
    assert "impressions: 6 ingested rows left out, without the required price" in data.notes


@pytest.mark.parametrize("known", [True, False])
def test_events_of_which_nobody_said_the_kind(tmp_path: Path, known: bool) -> None:
    kinds = ["click" if known else "buy", "buy", "buy", "buy"]
    shop = shop_in(tmp_path, kind=kinds, value=[1.0, 2.0, 0.0, 4.0])
    shop.answer(impression(1))
    shop.state.observe([click(1, 30), click(1, 10, kind="buy", value=3.0)])
    shop.ingest()
    events = shop.dataset.events
    assert events["kind"].tolist()[4:] == (["click", "buy"] if known else ["buy"])
    assert events["value"].tolist()[4:] == ([0.0, 3.0] if known else [3.0])


@pytest.mark.parametrize("form", ["csv", "dates", "folder"])
def test_tables_of_any_form_have_it_behind_them(tmp_path: Path, form: str) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "schema.json").write_text(Description(**SCHEMA.model_dump()).model_dump_json())
    base = tables([1, 2], [10, 20], device=["tv", "tv"])["events"]
    if form == "dates":
        base["time"] = ["2020-01-01T00:00:00", "2020-01-02"]
    if form == "folder":
        (data / "events").mkdir()
        base.to_parquet(data / "events" / "part-0.parquet")
    else:
        base.to_csv(data / "events.csv", index=False)
    before = sorted(path.name for path in data.iterdir())
    shop = Shop(tmp_path)
    shop.answer(impression(1, context={"device": "phone"}))
    shop.state.observe([click(1, 30)])
    shop.ingest()
    events = shop.dataset.events
    assert events["item_id"].tolist() == [10, 20, 30]
    assert events["device"].tolist() == ["tv", "tv", "phone"]
    assert events["time"].tolist()[-1] == int(NOW) + 6
    assert sorted(path.name for path in data.iterdir()) == sorted([*before, "ingested"])
    if form == "dates":
        assert events["time"].tolist()[0] == 1_577_836_800


def test_ids_that_are_texts_stay_so(tmp_path: Path) -> None:
    base = tables(["a", "7"], ["x", "10"])
    write_folder(tmp_path / "data", base, Description())
    shop = Shop(tmp_path)
    shop.answer(impression(1, user="a", items=("x", "y"), shown=(0, 1), scores=np.ones(2, dtype=np.float32)))
    shop.state.observe([click(1, 0, user_id="a", item_id="x"), Event("7", "10", int(NOW))])
    shop.ingest()
    assert shop.dataset.events["item_id"].tolist() == ["x", "10", "10", "x"]
    assert shop.dataset.impressions is not None
    assert shop.dataset.impressions["clicked"].tolist() == [True, False]


def test_a_run_ingests_first_where_the_config_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing else of the run is waited for: it is ended where its steps would begin."""
    shop = shop_in(tmp_path)
    shop.state.observe([Event("1", "10", int(NOW))])

    def ended(*_: Any) -> None:
        raise Killed

    monkeypatch.setattr("funnel.pipeline.run.runner._context", ended)
    for wanted in (False, True):
        settings = configure("x", impressions={"ingest": wanted}).impressions
        config = shop.config.model_copy(update={"impressions": settings})
        with pytest.raises(Killed):
            run(config, shop.store, Store(tmp_path / "embeddings"))
        assert len(shop.dataset.events) == 4 + wanted


def test_lists_that_the_data_have_stand_beside_those_of_the_log(tmp_path: Path) -> None:
    shop = shop_in(tmp_path)
    lists = pd.DataFrame(
        {"request_id": [1, 1], "user_id": [1, 1], "item_id": [10, 20], "time": [11, 11],
         "position": [0, 1], "clicked": [1, 0]}
    )  # fmt: skip
    lists.to_parquet(shop.data / "impressions.parquet")
    shop.answer(impression(1))
    shop.ingest()
    whole = shop.dataset.impressions
    assert whole is not None
    assert whole["request_id"].tolist() == ["1", "1", *[impression(1).id] * 3]
    assert whole["clicked"].tolist() == [True, False, False, False, False]


@pytest.mark.parametrize("names_an_answer", [False, True])
@pytest.mark.parametrize("time", [1, 86_400, 2**31])
def test_a_wrong_clock_has_no_other_hours_written_again(shop: Shop, time: int, names_an_answer: bool) -> None:
    for day in range(4):
        at = NOW + day * 24 * HOURS
        shop.answer(impression(day, time=at))
        wrong = click(day, 20, time=time) if names_an_answer else Event("9", "10", time)
        shop.state.observe([click(day, 30, time=int(at) + 5), wrong])
        assert shop.ingest().lists.hours == (1 if day == 0 else 2)  # the day before is within the window
    assert clicked(shop.dataset) == {(impression(day).id, 30) for day in range(4)}


def test_data_without_a_clock_keep_their_order(tmp_path: Path) -> None:
    base = tables([1, 1, 2], [10, 20, 10])
    base["events"]["time"] = [5, 6, 1]
    write_folder(tmp_path / "data", base, Description(clock="order"))
    shop = Shop(tmp_path)
    shop.answer(impression(1))
    shop.state.observe([click(1, 30, time=0), Event("1", "40", 0)])
    assert shop.ingest().lists.joined.joined == 1
    events = shop.dataset.events
    assert events[events["user_id"] == 1]["item_id"].tolist() == [10, 20, 30, 40]


class Killed(BaseException):
    """As if the process had ended here."""


@pytest.mark.parametrize("call", range(1, 14))
def test_killed_anywhere_another_call_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    shop = shop_in(tmp_path)
    for number in range(6):
        shop.answer(impression(number, time=NOW + number * HOURS))
    shop.state.observe([click(n, 30, time=int(NOW + n * HOURS) + 5) for n in range(6)])
    left = call

    def dying(real: Callable[..., Any]) -> Callable[..., Any]:
        def instead(*args: Any, **kwargs: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                raise Killed
            return real(*args, **kwargs)

        return instead

    with monkeypatch.context() as patch:
        for name in ("replace", "unlink"):
            patch.setattr(Path, name, dying(getattr(Path, name)))
        with pytest.raises(Killed):
            shop.ingest()
    shop.ingest()
    data = shop.dataset
    assert len(data.events) == 4 + 6
    assert clicked(data) == {(impression(n).id, 30) for n in range(6)}
    assert data.impressions is not None
    assert len(data.impressions) == 18
    assert len(list(read(answers_folder(shop.store.folder)))) == 6


def test_what_retention_takes_from_the_state_is_in_the_data_and_comes_once(shop: Shop) -> None:
    shop.state.observe([Event(str(n), "10", int(NOW) + n) for n in range(20)])
    shop.ingest()
    shop.state.retain(events_before=int(NOW) + 15, changes_before=0.0, forgotten_before=0.0)
    shop.state.observe([Event(str(n), "10", int(NOW) + n) for n in range(20, 25)])
    assert shop.ingest().events == 5
    assert len(shop.dataset.events) == 4 + 25


def test_a_state_that_begins_anew_is_told_from_the_one_before(shop: Shop) -> None:
    shop.state.observe([Event(str(n), "10", int(NOW) + n) for n in range(20)])
    shop.ingest()
    shop.state.close()
    for path in shop.state.path.parent.glob("state.sqlite*"):
        path.unlink()
    shop.state.observe([Event(str(n), "20", int(NOW) + n) for n in range(5)])
    assert shop.ingest().events == 5
    assert shop.ingest().events == 0
    assert len(shop.dataset.events) == 4 + 25


def test_what_is_older_than_is_kept_goes_from_the_log_and_stays_in_the_data(shop: Shop) -> None:
    day = 86_400
    shop.answer(impression(1), impression(2, time=NOW + 80 * day), impression(3, time=NOW + 95 * day))
    assert shop.ingest(at=NOW + 95 * day).removed == 0  # of one hour alone the clock may have been wrong
    shop.answer(impression(4, time=NOW + 94 * day))
    assert shop.ingest(at=NOW + 95 * day).removed == 1
    assert len(list(read(answers_folder(shop.store.folder)))) == 3
    assert shop.ingest(at=NOW + 95 * day).lists.hours == 0
    assert shop.dataset.impressions is not None
    assert shop.dataset.impressions["request_id"].nunique() == 4


def test_an_hour_that_was_removed_in_part_keeps_what_was_written_of_it(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = NOW + 95 * 86_400
    shop.answer(impression(1))
    shop.ingest()
    shop.answer(impression(2, time=NOW))  # by a clock that was far behind
    shop.answer(impression(3, time=later), impression(5, time=later - 86_400))  # a day, by which age goes
    real, removed = Path.unlink, 0

    def dying(path: Path, missing_ok: bool = False) -> None:
        nonlocal removed
        if path.suffix == ".parquet" and path.exists():
            removed += 1
            if removed == 2:
                raise Killed
        real(path, missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", dying)
        with pytest.raises(Killed):
            shop.ingest(at=later)
    assert len(list(read(answers_folder(shop.store.folder)))) == 3  # of four
    shop.answer(impression(4, time=NOW))
    shop.ingest(at=later)
    assert shop.dataset.impressions is not None
    assert set(shop.dataset.impressions["request_id"]) == {impression(n).id for n in (1, 2, 3, 4, 5)}
    assert len(shop.dataset.impressions) == 15
    assert len(list(read(answers_folder(shop.store.folder)))) == 2


def test_a_clock_that_is_far_ahead_removes_nothing(shop: Shop) -> None:
    shop.answer(impression(1))
    assert shop.ingest(at=NOW + 10**9).removed == 0
    ahead = NOW + 400 * 86_400
    shop.answer(*(impression(hour, time=NOW + hour * HOURS) for hour in range(2, 50)))
    shop.answer(impression(50, time=ahead))  # and answers are logged meanwhile
    assert shop.ingest(at=ahead + 60).removed == 0
    assert len(list(read(answers_folder(shop.store.folder)))) == 50


def test_who_was_forgotten_goes_from_all_that_was_ingested(shop: Shop) -> None:
    shop.answer(*(impression(number) for number in range(1, 4)))
    shop.state.observe([click(1, 30), click(2, 30)])
    shop.ingest()
    shop.state.forget_user("2", NOW + 50)
    shop.answer(impression(2, id="c" * 24))  # what another process had in its buffer
    shop.answer(impression(2, id="d" * 24, time=NOW + 60))  # who comes again begins anew
    shadows = Recorder(shadow_folder(shop.store.folder))
    for number in (1, 2):
        shadows.put(lambda number=number: impression(number))
    shadows.close()
    done = shop.ingest()
    assert [one.user for one in read(shadow_folder(shop.store.folder))] == [1]
    assert done.forgotten >= 5
    data = shop.dataset
    assert 2 not in data.events["user_id"].tolist()[3:]
    assert data.impressions is not None
    of_two = data.impressions[data.impressions["user_id"] == 2]
    assert set(of_two["request_id"]) == {"d" * 24}
    assert clicked(data) == {(impression(1).id, 30)}
    assert shop.ingest().forgotten == 0


def test_an_event_of_a_clock_that_was_ahead_goes_with_who_was_forgotten(shop: Shop) -> None:
    shop.state.observe([Event("1", "10", int(NOW) + 599), Event("2", "10", int(NOW) + 599)])
    shop.ingest()
    shop.state.forget_user("2", NOW)
    shop.state.observe([Event("2", "20", int(NOW) + 601)])  # who comes again begins anew
    shop.ingest()
    assert shop.dataset.events["item_id"].tolist()[4:] == [10, 20]


def test_data_that_are_in_no_folder_of_ours_are_refused(shop: Shop, tmp_path: Path) -> None:
    for reader in ("movielens", "sql"):
        path = str(tmp_path) if reader == "movielens" else "sqlite:///x.db"
        raw = {"name": "x", "data": {"reader": reader, "path": path}}
        if reader == "sql":
            raw["data"]["tables"] = {"events": "select 1"}  # type: ignore[index]
        try:
            config = parse(raw)
        except ConfigError:
            continue
        with pytest.raises(ConfigError, match="reader `folder` are needed"):
            ingest(config, shop.store, shop.state)
    (shop.data / "schema.json").unlink()
    with pytest.raises(DataError, match=r"schema\.json"):
        shop.ingest()


def test_a_published_split_takes_nothing_in(tmp_path: Path) -> None:
    shop = shop_in(tmp_path, split=["train", "train", "train", "test"])
    shop.state.observe([Event("1", "10", int(NOW))])
    shop.ingest()
    assert len(shop.dataset.events) == 4
    assert any("published split" in note for note in shop.dataset.notes)


def test_an_open_file_is_read_as_far_as_it_is_and_later_to_its_end(shop: Shop) -> None:
    recorder = Recorder(answers_folder(shop.store.folder))
    now = 4_000_000_000
    recorder.put(lambda: impression(1, time=now))
    assert recorder.flush()
    assert shop.ingest(at=now + 1).lists.rows == 3
    recorder.put(lambda: impression(2, time=now + 1))
    recorder.close()
    assert shop.ingest(at=now + 2).lists.rows == 6
    assert shop.dataset.impressions is not None
    assert len(shop.dataset.impressions) == 6


def test_nothing_to_ingest_leaves_the_data_as_they_are(shop: Shop) -> None:
    before = shop.dataset
    shop.ingest()
    assert len(shop.dataset.events) == len(before.events)
    assert shop.dataset.impressions is None
    assert not os.listdir(shop.data / "ingested") or set(os.listdir(shop.data / "ingested")) <= {".lock"}
    shutil.rmtree(shop.data / "ingested")


def test_the_command_brings_it_and_the_next_run_can_begin_with_it(shop: Shop, tmp_path: Path) -> None:
    shop.answer(impression(1), impression(2))
    shop.state.observe([click(1, 30)])
    config = tmp_path / "shop.toml"
    config.write_text('name = "shop"\n[data]\nreader = "folder"\npath = "nowhere"\n')
    command = [
        "-m",
        "funnel",
        "ingest",
        str(config),
        "--data",
        str(shop.data),
        "--store",
        str(shop.store.folder),
    ]
    done = python(*command, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["events"], said["lists"]["lists"], said["lists"]["joined"]["joined"]) == (1, 2, 1)
    again = python(*command, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "0 events; 0 lists" in again.stdout
    assert clicked(shop.dataset) == {(impression(1).id, 30)}


def test_a_window_that_is_no_time_is_told_on_the_command_line(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["impressions", "--store", str(tmp_path), "--window", "5x"])
    assert done.exit_code == 2
    assert "Invalid value for '--window': a number and s, m, h or d" in " ".join(done.output.split())
