"""Large files are looked at in part: whole rows, wherever they are cut, and no more memory than was said."""

from __future__ import annotations

import csv
import random
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from funnel.init import guess, sampling
from funnel.init.sampling import sample
from funnel.init.table_files import TableFiles

from .shops import shop


@pytest.mark.parametrize("seed", range(20))
def test_every_sampled_row_is_a_row_of_the_file(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Texts with separators, quotes and ends of lines: a block may begin inside of one."""
    rng = random.Random(seed)
    path = tmp_path / "events.csv"
    notes = ["".join(rng.choices('abc ,";\n', k=rng.randrange(60))) for _ in range(3000)]
    rows = [(f"u{number}", f"i{number}", note) for number, note in enumerate(notes)]
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([("user_id", "item_id", "note"), *rows])
    monkeypatch.setattr(sampling, "MOST_BYTES", rng.randrange(6_000, 40_000))
    found = sample(TableFiles("events.csv", (path,)))
    looked = [
        tuple("" if pd.isna(one) else one for one in row) for row in found.frame.itertuples(index=False)
    ]
    assert set(looked) <= set(rows)
    assert looked[0] == rows[0]
    assert looked[-1] == rows[-1]
    assert len(looked) < 1500
    assert found.odd_rows == ()


def test_a_large_file_is_read_in_part_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = shop(n_events=3000)
    base.write(tmp_path)
    monkeypatch.setattr(sampling, "MOST_BYTES", 30_000)
    made = guess(tmp_path)
    assert made.sampled == ("events",)
    assert made.rows["events"] == pytest.approx(3000, rel=0.05)
    assert any("looked at" in one.because for one in made.findings if one.where == "events.csv")
    looked = sample(TableFiles("events.csv", (tmp_path / "events.csv",))).frame
    assert len(looked) < 700
    assert looked["timestamp"].iloc[-1] == base.events["timestamp"].iloc[-1]


@pytest.mark.parametrize("rows_in_a_group", [100, 5000])
def test_a_large_parquet_file_too(
    rows_in_a_group: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = shop(n_events=3000)
    table = pa.Table.from_pandas(base.events, preserve_index=False)
    pq.write_table(table, tmp_path / "events.parquet", row_group_size=rows_in_a_group)
    monkeypatch.setattr(sampling, "MOST_ROWS", 300)
    made = guess(tmp_path)
    assert (made.sampled, made.rows["events"]) == (("events",), 3000)
    looked = sample(TableFiles("events.parquet", (tmp_path / "events.parquet",))).frame
    assert len(looked) == 300
    if rows_in_a_group == 100:
        assert looked["timestamp"].iloc[-1] == base.events["timestamp"].iloc[-1]


def test_of_many_parts_three_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events = shop(n_events=3000).events
    (tmp_path / "events").mkdir()
    for part in range(10):
        events.iloc[part * 300 : (part + 1) * 300].to_csv(tmp_path / "events" / f"{part}.csv", index=False)
    monkeypatch.setattr(sampling, "MOST_BYTES", 30_000)
    found = sample(TableFiles("events", tuple(sorted((tmp_path / "events").iterdir()))))
    assert found.rows == pytest.approx(3000, rel=0.05)
    first = pd.to_datetime(found.frame["timestamp"])
    assert first.min() == pd.to_datetime(events["timestamp"]).min()
    assert len(found.frame) < 900


@pytest.mark.parametrize("ending", ["csv.gz", "jsonl", "jsonl.gz"])
def test_a_large_file_that_cannot_be_cut_anywhere_is_read_from_its_beginning(
    ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = shop(n_events=3000).events
    path = tmp_path / f"events.{ending}"
    if ending == "csv.gz":
        events.to_csv(path, index=False)
    else:
        events.to_json(path, orient="records", lines=True)
    monkeypatch.setattr(sampling, "MOST_BYTES", 30_000)
    monkeypatch.setattr(sampling, "MOST_ROWS", 400)
    found = sample(TableFiles(path.name, (path,)))
    assert not found.whole
    assert 300 < len(found.frame) < 1_500
    # A small file is unpacked whole for its first rows: nothing says how much more there is.
    assert found.rows == pytest.approx(3000, rel=0.3) or (ending == "csv.gz" and found.rows <= 3000)
    first, looked = str(events.columns[0]), len(found.frame)
    assert found.frame[first].tolist() == events[first].tolist()[:looked]
    monkeypatch.undo()
    whole = sample(TableFiles(path.name, (path,)))
    assert (whole.whole, whole.rows) == (True, 3000)


def test_a_compressed_file_whose_last_bytes_were_read_for_its_first_rows_is_not_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "events.csv.gz"
    rows = pd.DataFrame({"user_id": ["u"] * 2000, "item_id": "i", "timestamp": 1_600_000_000})
    rows.to_csv(path, index=False)
    assert path.stat().st_size < 1000
    monkeypatch.setattr(sampling, "MOST_BYTES", 10_000)
    found = sample(TableFiles(path.name, (path,)))
    assert not found.whole
    assert 300 < len(found.frame) < 1000
