"""The best of all items in blocks, near items in cells, and weights kept in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from funnel.towers.training import search
from funnel.towers.training.near import near_items
from funnel.towers.training.search import best_items
from funnel.towers.training.snapshot import Snapshot
from funnel.types import Ragged


@pytest.mark.parametrize("block", [1, 7, 40, 1000])
@pytest.mark.parametrize("k", [1, 5, 60])
def test_blocks_give_what_sorting_all_scores_gives(
    block: int, k: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "BLOCK", block)
    rng = np.random.default_rng(0)
    queries, vectors = (torch.from_numpy(rng.normal(size=(n, 8)).astype(np.float32)) for n in (9, 40))
    exclude = Ragged.from_lists([rng.integers(-1, 40, i % 4).tolist() for i in range(9)])
    found = best_items(queries, vectors, exclude, k, None, 2)
    assert found.items.shape == (9, min(k, 40))
    for row in range(9):
        scores = (queries[row] @ vectors.T).numpy()
        order = [i for i in np.argsort(-scores, kind="stable").tolist() if i not in exclude[row]]
        shown = found.items[row][found.scores[row] > -torch.inf].tolist()
        assert shown == order[:k]


def test_up_to_a_cell_near_items_are_the_nearest_and_beyond_mostly() -> None:
    vectors = torch.nn.functional.normalize(torch.randn(600, 8, generator=torch.Generator().manual_seed(0)))
    scores = vectors @ vectors.T
    scores.fill_diagonal_(-torch.inf)
    exact = scores.topk(5, dim=1).indices
    rng = np.random.default_rng(0)
    assert torch.equal(near_items(vectors, 5, rng, cell=600).long(), exact)
    some = near_items(vectors, 5, rng, cell=100).long()
    everyone = torch.arange(600)[:, None]
    assert (some != everyone).all()
    assert all(len(set(row)) == 5 for row in some.tolist())
    mean = [float(scores.gather(1, rows).mean()) for rows in (exact, some)]
    assert mean[1] > 0.8 * mean[0]
    found = np.mean([len(set(a) & set(b)) for a, b in zip(exact.tolist(), some.tolist(), strict=True)])
    assert found > 1.5  # of 5


@pytest.mark.parametrize("n", [50, 401])
def test_the_search_for_near_items_compares_few(n: int) -> None:
    """Equal vectors, which no plane divides, are halved all the same."""
    cell = 40
    with Products() as products:
        near_items(torch.ones(n, 4), 3, np.random.default_rng(0), cell=cell)
    assert 0 < products.scores <= n * cell


class Products(TorchDispatchMode):
    """Scores that products of matrices gave."""

    scores = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func.__name__.startswith("mm"):
            self.scores += out.numel()
        return out


def test_weights_in_a_file_are_those_that_were_kept(tmp_path: Path) -> None:
    kept, state = (
        Snapshot(tmp_path / "new"),
        {"a": torch.randn(5, 3), "b": torch.tensor(2.5), "c": torch.arange(7)},
    )
    kept.keep(state)
    kept.keep({name: one + 1 for name, one in state.items()})
    found = kept.state()
    assert found.keys() == state.keys()
    for name, one in state.items():
        assert torch.equal(found[name], one + 1)
    assert list((tmp_path / "new").iterdir()) == []  # without a name


def test_without_room_for_a_file_they_stay_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    kept, state = Snapshot(tmp_path / "file" / "below"), {"a": torch.ones(3)}
    kept.keep(state)
    state["a"] += 1
    assert kept.state()["a"].tolist() == [1.0, 1.0, 1.0]
    assert "kept in memory" in caplog.text
