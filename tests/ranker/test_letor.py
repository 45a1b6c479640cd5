"""LETOR files, graded NDCG, and the ranker alone on MQ2008."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from funnel.errors import DataError
from funnel.ranker import Ranker, RankerConfig, graded_ndcg, read_letor

TEXT = """\
2 qid:7 1:0.5 3:-1e-2 #docid = A
0 qid:7 2:1

1 qid:x 1:0.25 2:0.5 3:0.75
"""


def test_a_file_becomes_lists(tmp_path: Path) -> None:
    path = tmp_path / "lists.txt"
    path.write_text(TEXT)
    lists = read_letor(path)
    assert lists.sizes.tolist() == [2, 1]
    assert lists.labels.tolist() == [2, 0, 1]
    np.testing.assert_allclose(lists.matrix, [[0.5, 0, -0.01], [0, 1, 0], [0.25, 0.5, 0.75]])
    assert lists.names == ("feature_1", "feature_2", "feature_3")
    assert read_letor(path, 5).matrix.shape == (3, 5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no line holds a document"),
        ("1 1:0.5", ":1: .*is not qid"),
        ("1 qid:1 1:0.5\n1 qid:1 one:0.5", ":2: "),
        ("1 qid:1 1:x", ":1: "),
        ("1", ":1: "),
        ("1 qid:1 0:3", r"features 0…0; expected 1…2"),
        ("1 qid:1 3:3", r"features 3…3; expected 1…2"),
        ("1 qid:1 1:1\n1 qid:2 1:1\n1 qid:1 1:1", "do not stand together"),
    ],
)
def test_what_is_not_letor_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "lists.txt"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_letor(path, 2)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.txt"):
        read_letor(tmp_path / "gone.txt")


def test_graded_ndcg_by_hand() -> None:
    labels = np.array([2, 0, 1, 0, 0, 1], dtype=np.float32)
    scores = np.array([1.0, 3.0, 2.0, 5.0, 4.0, 0.0])
    sizes = np.array([3, 2, 1])
    first = (1 / np.log2(3) + 3 / 2) / (3 + 1 / np.log2(3))
    np.testing.assert_allclose(graded_ndcg(scores, labels, sizes), [first, 1, 1])
    np.testing.assert_allclose(graded_ndcg(scores, labels, sizes, k=1, empty=0), [0, 0, 1])


def test_graded_ndcg_equals_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    labels, scores = rng.integers(0, 3, (20, 15)).astype(np.float32), rng.normal(size=(20, 15))
    own = graded_ndcg(scores.ravel(), labels.ravel(), np.full(20, 15), k=7)
    theirs = [metrics.ndcg_score([2**row - 1], [s], k=7) for row, s in zip(labels, scores, strict=True)]
    np.testing.assert_allclose(own, theirs)


def test_mq2008_with_the_defaults(shared_data: Callable[[str], Path]) -> None:
    folder = shared_data("mq2008")
    train, valid, test = (read_letor(folder / f"{part}.txt", 46) for part in ("train", "vali", "test"))
    assert (len(train), len(valid), len(test)) == (471, 157, 156)
    ranker = Ranker.fit(train, valid, RankerConfig(threads=1))
    reached = graded_ndcg(ranker.predict(test.matrix), test.labels, test.sizes).mean()
    assert reached > 0.80
