"""LETOR files: logged lists with graded labels, the ranker's use on its own.

A line is `label qid:<query> 1:<value> 2:<value> … # comment`; the lines of a query stand together
(Qin & Liu 2013, Introducing LETOR 4.0 Datasets).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from funnel.errors import DataError
from funnel.ranker.lists import TrainingLists
from funnel.types import Float32, Int64


def read_letor(path: Path, n_features: int | None = None) -> TrainingLists:
    """The lists of a file; a feature that a line does not name is 0, as in SVMlight files.

    n_features: columns, default the highest number in the file (give it where files must agree).

    Raises: DataError with the line, for a file that is missing, empty, or not of this format.
    """
    try:
        lines = Path(path).read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as LETOR ({error})") from error
    labels, queries, rows = [], [], []
    for number, line in enumerate(lines, start=1):
        content = line.partition("#")[0].split()
        if not content:
            continue
        try:
            labels.append(float(content[0]))
            queries.append(_query(content[1]))
            rows.append({int(k): float(v) for k, _, v in (pair.partition(":") for pair in content[2:])})
        except (ValueError, IndexError) as error:
            raise DataError(f"{path}:{number}: not 'label qid:… 1:… 2:…' ({error})") from error
    if not rows:
        raise DataError(f"{path}: no line holds a document")
    matrix = _matrix(rows, n_features, path)
    names = tuple(f"feature_{n}" for n in range(1, matrix.shape[1] + 1))
    return TrainingLists(matrix, np.array(labels, dtype=np.float32), _sizes(queries, path), names)


def graded_ndcg(
    scores: NDArray[np.floating], labels: Float32, sizes: Int64, k: int = 10, *, empty: float = 1.0
) -> NDArray[np.float64]:
    """NDCG@k with gain 2^label − 1 of each list: float64 [L]; `empty` where no label is above zero.

    Järvelin & Kekäläinen 2002, with the exponential gain of Burges et al. 2005. Equal scores keep the order
    of the file. LightGBM's and CatBoost's benchmarks count a list without relevant documents as 1, LETOR's
    tool as 0.
    """
    query = np.repeat(np.arange(len(sizes)), sizes)
    starts = np.cumsum(sizes) - sizes
    gains = np.exp2(labels.astype(np.float64)) - 1

    def dcg(order: Int64) -> NDArray[np.float64]:
        rank = np.arange(len(order)) - np.repeat(starts, sizes)
        parts = np.where(rank < k, gains[order] / np.log2(rank + 2), 0)
        return np.bincount(query, weights=parts, minlength=len(sizes)).astype(np.float64)

    reached, ideal = dcg(np.lexsort((-scores, query))), dcg(np.lexsort((-gains, query)))
    return np.where(ideal > 0, reached / np.where(ideal > 0, ideal, 1), empty)


def _query(token: str) -> str:
    prefix, _, query = token.partition(":")
    if prefix != "qid" or not query:
        raise ValueError(f"'{token}' is not qid:…")
    return query


def _matrix(rows: list[dict[int, float]], n_features: int | None, path: Path) -> Float32:
    """float32 [N, n_features]; feature n is column n − 1."""
    numbers = np.array([n for row in rows for n in row], dtype=np.int64)
    width = n_features or int(numbers.max(initial=0))
    if len(numbers) and not (numbers.min() >= 1 and numbers.max() <= width):
        raise DataError(f"{path}: features {numbers.min()}…{numbers.max()}; expected 1…{width}")
    matrix = np.zeros((len(rows), width), dtype=np.float32)
    at = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    matrix[at, numbers - 1] = [value for row in rows for value in row.values()]
    return matrix


def _sizes(queries: list[str], path: Path) -> Int64:
    """Lengths of the runs of equal queries; a query that comes back later is an error."""
    names = np.array(queries)
    starts = np.flatnonzero(np.concatenate([[True], names[1:] != names[:-1]]))
    if len(set(names[starts].tolist())) < len(starts):
        raise DataError(f"{path}: the lines of a query do not stand together; sort the file by qid")
    return np.diff(np.append(starts, len(names)))
