"""The record goes to a line and to the compacted form and back, and what is none is refused."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funnel.errors import DataError
from funnel.impressions import Impression, as_line, from_line, to_frame
from funnel.impressions.compacted import impressions_in, sources_of, write_compacted
from tests.impressions.records import impression, same

IDS = st.one_of(
    st.lists(st.integers(-(2**31), 2**31 - 1), unique=True, max_size=60),
    st.lists(st.integers(-(2**63), 2**63 - 1), unique=True, max_size=8),
    st.lists(st.text(max_size=8).filter(lambda t: t.isprintable()), unique=True, max_size=8),
    st.lists(st.one_of(st.integers(0, 9), st.sampled_from("abc")), unique=True, max_size=8),
)
JSON = st.dictionaries(
    st.sampled_from(["device", "hour"]), st.one_of(st.integers(), st.text("xy"), st.none())
)


@st.composite
def impressions(draw: st.DrawFn) -> Impression:
    """Any answer."""
    items = draw(IDS)
    shown = draw(st.permutations(range(len(items))))[: draw(st.integers(0, len(items)))]
    scores = draw(st.lists(st.floats(width=32), min_size=len(items), max_size=len(items)))
    chances = draw(st.one_of(st.none(), st.just([draw(st.floats(2**-30, 1, width=32)) for _ in shown])))
    return impression(
        draw(st.integers(0, 10**6)),
        user=draw(st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1), st.text("u7é"))),
        items=tuple(items),
        scores=np.array(scores, dtype=np.float32),
        shown=tuple(shown),
        propensities=None if chances is None else tuple(chances),
        context=draw(JSON),
        where=draw(st.one_of(st.none(), st.just({"year": {">=": 1999}}))),
        policy=draw(st.one_of(st.none(), st.just({"epsilon": 0.02, "seed": 7}))),
        seed=draw(st.one_of(st.none(), st.integers(-1, 2**52 - 1))),
        arms=draw(st.one_of(st.just({}), st.just({"layout": "b"}))),
        reasons=tuple(draw(st.lists(st.sampled_from(["unknown_user", "empty_history"])))),
        ms={"retrieve": 0.51},
        state="12.3400",
        call=draw(st.sampled_from(["recommend", "rank", "similar"])),
    )


@given(impressions())
@settings(max_examples=150, deadline=None)
def test_a_line_is_read_as_it_was_written(given_impression: Impression) -> None:
    line = as_line(given_impression)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert same(from_line(line), given_impression)


@given(st.lists(impressions(), max_size=4))
@settings(max_examples=25, deadline=None)
def test_the_compacted_form_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, some: list[Impression]
) -> None:
    path = tmp_path_factory.mktemp("compacted") / "2026-09-21T13.a.parquet"
    write_compacted(path, some, ["a.jsonl"])
    assert sources_of(path) == ["a.jsonl"]
    for back, one in zip(impressions_in(path), some, strict=True):
        assert same(back, one)


def test_an_answer_of_fifty_candidates_takes_a_kilobyte_at_most() -> None:
    items = tuple(range(1_234_567, 1_234_617))
    full = impression(
        items=items, scores=np.linspace(-3, 3, 50, dtype=np.float32), shown=tuple(range(0, 50, 5)), k=10,
        propensities=tuple(1 / (3 + position) for position in range(10)), user=12_345_678,
        context={"device": "phone"}, arms={"layout": "treatment"}, state="123456.12345678",
        policy={"temperature": 0.05, "epsilon": 0.02, "top": 50, "seed": 123_456},
        ms={"retrieve": 0.51, "filter": 0.01, "rank": 0.93, "rerank": 0.11},
    )  # fmt: skip
    assert len(as_line(full)) <= 1024


@pytest.mark.parametrize(
    "change",
    [
        {"shown": [0, 5]}, {"shown": [-1]}, {"shown": [0, 0]}, {"shown": [True]}, {"shown": ["0"]},
        {"scores": "AAAA"}, {"scores": "%"}, {"scores": None}, {"items": None}, {"items": "AAA="},
        {"propensities": "AAAA"}, {"id": 7}, {"time": "x"}, {"time": None}, {"k": None}, {"reasons": 3},
        {"seed": "7"},
    ],
)  # fmt: skip
def test_a_record_that_is_damaged_is_refused(change: dict[str, object]) -> None:
    record = json.loads(as_line(impression()))
    with pytest.raises(DataError, match="no line of the log"):
        from_line(json.dumps({**record, **change}))


@pytest.mark.parametrize("key", ["id", "time", "user", "version", "k", "items", "scores", "shown"])
def test_a_record_without_a_key_is_refused(key: str) -> None:
    record = json.loads(as_line(impression()))
    del record[key]
    with pytest.raises(DataError):
        from_line(json.dumps(record))


@given(st.binary(max_size=40))
def test_whatever_a_line_holds_it_is_a_record_or_refused(line: bytes) -> None:
    with pytest.raises(DataError):
        from_line(line)


@given(st.integers(0, 200))
def test_no_part_of_a_line_is_taken_for_a_whole_one(length: int) -> None:
    line = as_line(impression())
    with pytest.raises(DataError):
        from_line(line[: min(length, len(line) - 2)])


def test_keys_of_a_later_funnel_are_read_over() -> None:
    record = json.loads(as_line(impression()))
    assert same(from_line(json.dumps({**record, "later": {"x": 1}})), impression())


def test_a_frame_has_a_row_an_item_that_was_shown() -> None:
    drawn = impression(1, propensities=(0.5, 0.25, 1.0), arms={"layout": "b"})
    frame = to_frame([impression(0, shown=()), drawn])
    assert frame["item_id"].tolist() == [10, 30, 20]
    assert frame["position"].tolist() == [0, 1, 2]
    assert frame["propensity"].tolist() == [0.5, 0.25, 1.0]
    assert frame["arms.layout"].tolist() == ["b"] * 3
    assert math.isclose(frame["score"].iloc[1], 1.0)
    assert to_frame([]).columns.tolist()[:3] == ["request_id", "user_id", "item_id"]
