"""Events and impressions that are read batch by batch: the same as at once, and no more of them in memory."""

from __future__ import annotations

import gc
import json
import logging
import os
import sys
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, chdir, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from benchmarks.memory_world import Size, write
from funnel.data import Column, Dataset, Schema, SplitConfig, batches, reading_batches, split
from funnel.data.columnar import columns, rows
from funnel.data.table_builder import CollectedRows
from funnel.errors import DataError
from funnel.recipes import Recipe, done_by
from funnel.scale.shipping import Delivered, Shipment
from tests.apart import Apart

SCHEMA = Schema(
    events=(Column(name="rating", kind="number"), Column(name="device", kind="category")),
    impressions=(Column(name="price", kind="number"), Column(name="tags", kind="multi_category")),
)


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of 5 rows, and blocks of 4."""
    for module in (batches, reading_batches):
        monkeypatch.setattr(module, "ROWS", 5)
    monkeypatch.setattr(reading_batches, "_FIRST", 2)
    for module in (columns, rows):
        monkeypatch.setattr(module, "BLOCK", 4)


class Elsewhere(Apart):
    """Workers in another folder, to which parts and rows go as bytes. taken: rows that came from them."""

    def __init__(self) -> None:
        self.taken = 0
        self.place: Callable[[], AbstractContextManager[None]] = nullcontext

    def each(self, recipe: Recipe, parts: Iterable[Any]) -> Iterator[Any]:
        recipe = sent(recipe)
        for part in map(sent, parts):
            with chdir("/"), self.place():
                rows = sent(recipe.work(part))
            self.taken += rows.rows if isinstance(rows, CollectedRows) else 0
            yield rows


def sent(value: Any) -> Any:
    return Delivered(Shipment(value).text).value


@pytest.fixture(params=["alone", "workers"])
def who(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process, or workers, who are given each row group by itself."""
    monkeypatch.setattr(reading_batches, "_PIECE", 1)
    if request.param == "workers":
        pytest.importorskip("ray")
    workers = None if request.param == "alone" else Elsewhere()
    with done_by(workers):
        yield
    assert workers is None or workers.taken > 0


def log(n: int, seed: int, *, text: bool) -> pd.DataFrame:
    """Events out of order, some of them twice."""
    rng = np.random.default_rng(seed)
    users, items = rng.integers(6, size=n), rng.integers(8, size=n)
    frame = pd.DataFrame(
        {
            "user_id": users if not text else [f"u{user}" for user in users],
            "item_id": items,
            "time": 1_000 + rng.integers(5, size=n),
            "rating": rng.choice([1.0, np.nan, 3.0], size=n),
            "device": rng.choice(["tv", "phone"], size=n),
            "kind": rng.choice(["view", "click", "buy"], size=n),
            "value": rng.choice([0.0, 2.5], size=n),
        }
    )
    return pd.concat([frame, frame.iloc[: n // 3]], ignore_index=True)


def lists(n: int, seed: int, *, text: bool) -> pd.DataFrame:
    """Lists of three whose rows lie anywhere, some of them twice."""
    rng = np.random.default_rng(seed)
    number = np.repeat(np.arange(n), 3)
    users = rng.integers(6, size=n)[number]
    frame = pd.DataFrame(
        {
            "request_id": [f"r{name}" for name in rng.permutation(n)[number]],
            "user_id": users if not text else [f"u{user}" for user in users],
            "item_id": rng.integers(8, size=len(number)),
            "time": 1_000 + rng.integers(5, size=n)[number] + rng.integers(3, size=len(number)),
            "position": rng.integers(4, size=len(number)),
            "clicked": rng.random(len(number)) < 0.4,
            "price": rng.choice([1.0, np.nan], size=len(number)),
            "tags": rng.choice(["a|b", "a", ""], size=len(number)),
        }
    )
    return frame.sample(frac=1, random_state=seed, ignore_index=True)


def saved(folder: Path, frame: pd.DataFrame, name: str, parts: int) -> None:
    """In several files of row groups of three rows."""
    (folder / name).mkdir(parents=True)
    for number, part in enumerate(np.array_split(np.arange(len(frame)), parts)):
        table = pa.Table.from_pandas(frame.iloc[part], preserve_index=False)
        pq.write_table(table, folder / name / f"{number}.parquet", row_group_size=3)


def slow_events(frame: pd.DataFrame) -> list[tuple[object, ...]]:
    """By time, ties as given, each once: row by row."""
    order = sorted(range(len(frame)), key=lambda row: frame["time"][row])
    values = [tuple(None if value != value else value for value in frame.iloc[row]) for row in order]
    return list(dict.fromkeys(values))


def slow_lists(frame: pd.DataFrame) -> list[tuple[object, ...]]:
    """By the time of the list's earliest row, then the list that appears first, then position."""
    order = sorted(range(len(frame)), key=lambda row: frame["time"][row])
    start: dict[object, int] = {}
    for row in order:
        start.setdefault(frame["request_id"][row], int(frame["time"][row]))
    appearance = list(start)
    frame = frame.assign(time=frame["request_id"].map(start))
    once: dict[tuple[object, ...], None] = {}
    for row in order:
        once.setdefault(tuple(None if value != value else value for value in frame.iloc[row]))
    return sorted(once, key=lambda row: (row[3], appearance.index(row[0]), row[4]))  # type: ignore[index]


def plain(frame: pd.DataFrame, names: list[str]) -> list[tuple[object, ...]]:
    text = frame.assign(tags=frame["tags"].map("|".join)) if "tags" in frame else frame
    return [tuple(None if value != value else value for value in row) for row in text[names].to_numpy(object)]


@pytest.mark.usefixtures("small_batches", "who")
@given(st.integers(1, 20), st.integers(0, 50), st.booleans(), st.booleans())
@settings(max_examples=6, deadline=None)
def test_a_folder_in_batches_is_the_data_set_of_its_frames(
    tmp_path_factory: pytest.TempPathFactory, n: int, seed: int, text: bool, of_lists: bool
) -> None:
    folder = tmp_path_factory.mktemp("batches")
    events, shown = log(n, seed, text=text), lists(n, seed, text=text)
    shown["user_id"].iloc[0:1]
    events = pd.concat(
        [events, events.iloc[:1].assign(user_id=shown["user_id"][0], item_id=shown["item_id"][0])]
    )
    events = events.reset_index(drop=True)
    saved(folder, events, "events", 3)
    if of_lists:
        saved(folder, shown, "impressions", 2)
    data = Dataset.from_folder(folder, SCHEMA, name="x")
    same = Dataset.from_frames(SCHEMA, events, impressions=shown if of_lists else None, name="x")
    assert data.checksum() == same.checksum()
    assert data.notes == same.notes
    assert plain(data.events, list(events.columns)) == slow_events(events)
    assert_frame_equal(data.events, same.events)
    if of_lists:
        assert data.impressions is not None
        assert plain(data.impressions, list(shown.columns)) == slow_lists(shown)


@pytest.mark.usefixtures("small_batches", "who")
@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("user_id", None, r"events.user_id has no id in 2 rows \(the first is row 13\)"),
        ("rating", "bad", "events.rating is declared as a number, but row 13 holds 'bad'"),
        (
            "time",
            float("inf"),
            r"events.time is missing or infinite in 2 of 40 rows \(the first is row 13: inf\)",
        ),
        ("time", 1e12, "events.time, row 13, is 1000000000000: these look like milliseconds"),
        ("kind", None, "events.kind is missing in row 13"),
        ("value", -1.0, "events.value is -1 in row 13"),
    ],
)
def test_a_row_has_its_number_in_the_whole_table(
    tmp_path: Path, column: str, value: object, said: str
) -> None:
    events = log(30, 0, text=True).astype({"time": "float64"})
    events[column] = events[column].astype(object)
    events.loc[[13, 31], column] = value
    if column != "rating":
        events[column] = events[column].convert_dtypes(dtype_backend="pyarrow")
    events["rating"] = events["rating"].astype("str") if column == "rating" else events["rating"]
    with pytest.raises(DataError, match=said):
        Dataset.from_frames(SCHEMA, events)
    saved(tmp_path, events, "events", 2)
    with pytest.raises(DataError, match=said):
        Dataset.from_folder(tmp_path, SCHEMA)


@pytest.mark.usefixtures("small_batches", "who")
def test_gaps_of_a_required_column_are_counted_over_all_parts(tmp_path: Path) -> None:
    schema = Schema(events=(Column(name="rating", kind="number", required=True),))
    events = log(30, 0, text=False)
    gaps = events["rating"].isna()
    saved(tmp_path, events, "events", 3)
    said = rf"{gaps.sum()} of {len(events)} rows have no usable value \(the first is row {gaps.argmax()}\)"
    with pytest.raises(DataError, match=said):
        Dataset.from_folder(tmp_path, schema)


@pytest.mark.usefixtures("who")
def test_a_damaged_row_group_in_the_middle_is_named(tmp_path: Path) -> None:
    events = log(3_000, 0, text=True)
    saved_path = tmp_path / "events.parquet"
    table = pa.Table.from_pandas(events, preserve_index=False)
    pq.write_table(table, saved_path, row_group_size=1_000, write_page_checksum=True)
    assert len(Dataset.from_folder(tmp_path, SCHEMA).users) == 6
    column = pq.ParquetFile(saved_path).metadata.row_group(2).column(2)
    content = bytearray(saved_path.read_bytes())
    middle = column.data_page_offset + column.total_compressed_size // 2
    content[middle : middle + 8] = bytes(8)
    saved_path.write_bytes(content)
    with pytest.raises(
        DataError, match=r"events.parquet cannot be read in row group 2 of 4 \(rows 2000 to 2999"
    ):
        Dataset.from_folder(tmp_path, SCHEMA)


def test_parts_of_types_with_nothing_in_common_are_read_at_once(tmp_path: Path) -> None:
    (tmp_path / "events").mkdir()
    for number, user in enumerate(([1, 2], ["x", "2"])):
        frame = pd.DataFrame({"user_id": user, "item_id": [1, 2], "time": [number, 5]})
        frame.to_parquet(tmp_path / "events" / f"{number}.parquet")
    assert Dataset.from_folder(tmp_path, Schema()).user_ids.tolist() == ["1", "2", "x"]


@pytest.mark.usefixtures("small_batches", "who")
@pytest.mark.parametrize("written", [False, True])
def test_csv_files_are_read_in_batches_too(
    tmp_path: Path, written: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = log(30, 1, text=False)
    if written:
        events["time"] = pd.to_datetime(events["time"], unit="s").astype("str")
    (tmp_path / "events").mkdir()
    for number, part in enumerate(np.array_split(np.arange(len(events)), 3)):
        events.iloc[part].to_csv(tmp_path / "events" / f"{number}.csv", index=False)
    monkeypatch.chdir(tmp_path.parent)
    data = Dataset.from_folder(Path(tmp_path.name), SCHEMA, name="x")
    assert data.checksum() == Dataset.from_frames(SCHEMA, events, name="x").checksum()


@pytest.mark.usefixtures("small_batches", "who")
def test_keys_of_other_names_and_times_in_milliseconds(tmp_path: Path) -> None:
    events = log(30, 2, text=True)
    saved(tmp_path, events.assign(time=events["time"] * 1000).rename(columns={"user_id": "who"}), "events", 2)
    file = {"path": "events", "columns": {"user_id": "who"}, "unit": "milliseconds"}
    about = {**SCHEMA.model_dump(exclude={"impressions"}), "files": {"events": file}}
    (tmp_path / "schema.json").write_text(json.dumps(about))
    data = Dataset.from_folder(tmp_path, name="x")
    schema = Schema(events=SCHEMA.events)
    assert data.checksum() == Dataset.from_frames(schema, events, name="x").checksum()


def test_an_empty_part_is_none_and_all_empty_are_told_as_alone(tmp_path: Path) -> None:
    events = log(30, 0, text=True)
    saved(tmp_path / "some", events, "events", 2)
    events.iloc[:0].to_parquet(tmp_path / "some" / "events" / "00.parquet", index=False)
    saved(tmp_path / "none", events.iloc[:0], "events", 2)
    alone = Dataset.from_folder(tmp_path / "some", SCHEMA)
    with done_by(Elsewhere()):
        assert Dataset.from_folder(tmp_path / "some", SCHEMA).checksum() == alone.checksum()
        with pytest.raises(DataError, match="events is empty: at least one event is needed"):
            Dataset.from_folder(tmp_path / "none", SCHEMA)


def test_what_a_machine_does_not_see_is_read_here_and_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Another file of that name, or none."""
    saved(tmp_path, log(30, 0, text=True), "events", 3)
    alone, workers = Dataset.from_folder(tmp_path, SCHEMA), Elsewhere()
    files = sorted((tmp_path / "events").iterdir())

    @contextmanager
    def elsewhere() -> Iterator[None]:
        hidden = files[0].rename(tmp_path / "hidden")
        os.utime(files[1])
        yield
        hidden.rename(files[0])

    workers.place = elsewhere
    with caplog.at_level(logging.WARNING), done_by(workers):
        data = Dataset.from_folder(tmp_path, SCHEMA)
    assert data.checksum() == alone.checksum()
    assert workers.taken == len(pd.read_parquet(files[2]))
    (record,) = caplog.records
    assert f"does not see {files[0]} as it is here" in record.getMessage()


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Made worlds of 100,000 events and impressions, and of three times as many."""
    folder = tmp_path_factory.mktemp("worlds")
    for n in (100_000, 300_000):
        write(Size(n), folder / str(n))
    return [folder / "100000", folder / "300000"]


def peak_of(folder: Path) -> tuple[Dataset, int]:
    """A data set, and the most bytes that reading it took: NumPy's and Python's, and Arrow's."""
    gc.collect()
    tracemalloc.start()
    data = Dataset.from_folder(folder)
    python = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return data, python


def test_an_event_and_an_impression_take_few_bytes(
    worlds: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """16 bytes an event, 9 an impression and 16 a list of ten with its id of 11 letters. The peak is counted
    as what each further event, with an impression, adds to it."""
    for module in (batches, reading_batches):
        monkeypatch.setattr(module, "ROWS", 1 << 13)
    (small, less), (large, more) = (peak_of(folder) for folder in worlds)
    del small
    assert (more - less) / 200_000 < 75  # 590 where both tables were frames
    events, lists_ = large.event_table, large.impression_table
    assert lists_ is not None
    own = sum(events.columns[name].codes.nbytes for name in ("user_id", "item_id"))  # type: ignore[union-attr]
    assert own + events.array("time").nbytes == 16 * len(events)
    names = lists_.values("request_id").memory_usage(index=False)
    rest = sum(lists_.columns[name].nbytes for name in ("item_id", "position", "clicked"))
    ids = large.items["item_id"].memory_usage(index=False)
    assert rest - ids == 9 * len(lists_)
    assert names < 2 * 11 * len(lists_) / 10 + 10_000


def test_a_split_copies_no_event(worlds: list[Path]) -> None:
    """The windows' events are parts of the log; what a split adds goes by its requests and 24 bytes an
    event."""
    data = Dataset.from_folder(worlds[1])
    log_ = data.log
    split(data, SplitConfig(max_requests=100), 0)  # what is compiled is no part of it
    tracemalloc.start()
    parts = split(data, SplitConfig(max_requests=100), 0)
    left, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert np.shares_memory(parts.train.users, log_.users)
    assert np.shares_memory(parts.test_statistics.times, log_.times)
    assert left < 2 * len(log_)
    assert peak < 50 * len(log_)


def test_one_user_with_all_events_and_ids_of_two_thousand_letters(tmp_path: Path) -> None:
    n = 60_000
    rng = np.random.default_rng(0)
    items = np.array(["x" * 1_990 + f"{item:010d}" for item in range(50)])
    frame = pd.DataFrame(
        {"user_id": "u" * 2_000, "item_id": items[rng.integers(50, size=n)], "time": np.arange(n)}
    )
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), tmp_path / "events.parquet")
    (tmp_path / "schema.json").write_text("{}")
    del frame
    data, peak = peak_of(tmp_path)
    assert (len(data.users), len(data.items), len(data.event_table)) == (1, 50, n)
    assert peak < 120e6  # the ids of all rows are 240 MB, and were held more than once
    again = split(data, SplitConfig(max_requests=100, exclude_seen=False), 0)
    assert again.test.targets.lengths.tolist() == [50]


def test_no_id_is_an_object_of_its_own() -> None:
    """As many calls of functions with ten times as many items, users and events."""

    def calls(n: int) -> int:
        ids = [f"x{number:06d}" for number in range(n)]
        events = pd.DataFrame({"user_id": ids, "item_id": ids, "time": range(n)})
        items = pd.DataFrame({"item_id": ids[: n // 2]})
        counted = 0

        def count(_: Any, event: str, __: Any) -> None:
            nonlocal counted
            counted += event in ("call", "c_call")

        Dataset.from_frames(Schema(), events, items=items)
        sys.setprofile(count)
        try:
            Dataset.from_frames(Schema(), events, items=items)
        finally:
            sys.setprofile(None)
        return counted

    assert calls(20_000) < calls(2_000) + 1_000
