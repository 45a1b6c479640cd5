"""Texts end to end: found, saved, mapped, and never wider than they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from funnel.data import Vocabulary
from funnel.errors import BundleError
from funnel.values.texts import Texts, ids_bytes, load_ids, save_ids


@given(st.sets(st.text(st.characters(exclude_categories=["Cs"]), min_size=1)), st.lists(st.text()))
def test_they_are_found_as_a_dictionary_finds_them(kept: set[str], asked: list[str]) -> None:
    ordered = sorted(kept)
    texts, places = Texts.of(ordered), {text: place for place, text in enumerate(ordered)}
    wanted = [*asked, *ordered]
    expected = [places.get(text, -1) for text in wanted]
    assert [texts.find(text) for text in wanted] == expected
    many = [*wanted, None] * 70  # enough for the hash table
    assert texts.find_all(many).tolist() == [*expected, -1] * 70
    again = Texts.unpacked(texts.packed())
    assert again.tolist() == ordered
    assert np.sort(np.array(ordered, dtype=texts.dtype)).tolist() == ordered


def test_positions_are_the_callers_own_however_many_were_asked_for() -> None:
    for n in (1, 63, 64, 1000):
        positions = Texts.of(["a", "b"]).find_all(["b", *["c"] * (n - 1)])
        positions[positions < 0] = 7
        assert positions.tolist() == [1, *[7] * (n - 1)]


def test_indexing_is_that_of_an_array() -> None:
    texts, array = Texts.of(["a", "bb", "ccc"]), np.array(["a", "bb", "ccc"])
    for places in (
        [0, 2],
        [-1],
        [],
        slice(1, None),
        np.array([True, False, True]),
        np.array([[0, 1], [2, 2]]),
    ):
        places = np.array(places, dtype=np.int64) if isinstance(places, list) else places
        assert texts[places].tolist() == array[places].tolist()
    assert texts[1].item() == "bb"
    assert list(texts) == np.asarray(texts).tolist() == array.tolist()


def test_a_long_id_takes_its_own_length_on_disk(tmp_path: Path) -> None:
    ids = sorted([f"user-{number:06d}" for number in range(10_000)])
    save_ids(tmp_path / "short.npy", np.array(ids))
    save_ids(tmp_path / "long.npy", np.array([*ids, "x" * 20_000], dtype=Texts.dtype))
    short, long = ((tmp_path / f"{name}.npy").stat().st_size for name in ("short", "long"))
    assert long == short + 20_000 + 8
    found = Vocabulary.load(tmp_path / "long.npy")
    assert found.row("x" * 20_000) == 10_000
    assert found.rows(["user-000042", "x" * 19_999]).tolist() == [42, -1]


def test_files_of_fixed_width_are_still_read(tmp_path: Path) -> None:
    np.save(tmp_path / "ids.npy", np.array(["a", "bb"]))
    assert Vocabulary.load(tmp_path / "ids.npy").rows(["bb", "c"]).tolist() == [1, -1]


def test_a_damaged_file_is_an_error_and_not_the_end_of_the_process(tmp_path: Path) -> None:
    packed = Texts.of(["a", "bb", "ccc"]).packed()
    for place in range(40):
        damaged = packed.copy()
        damaged[place] ^= 0xFF
        np.save(tmp_path / "ids.npy", damaged)
        with pytest.raises(BundleError, match=r"ids\.npy is damaged"):
            load_ids(tmp_path / "ids.npy")
    for length in range(len(packed)):
        with pytest.raises(ValueError, match=r"damaged|offset|UTF8|UTF-8|Negative|length"):
            Texts.unpacked(packed[:length])


def test_bytes_for_a_hash_follow_the_ids_and_not_how_they_are_held() -> None:
    wide, narrow = np.array(["a", "bb"], dtype="<U50"), np.array(["a", "bb"], dtype=Texts.dtype)
    assert ids_bytes(wide) == ids_bytes(narrow) == ids_bytes(Texts.of(["a", "bb"]))
    assert ids_bytes(np.array(["ab", "b"])) != ids_bytes(wide)
    assert ids_bytes(np.array([1, 2])) != ids_bytes(np.array([2, 1]))
