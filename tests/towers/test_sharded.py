"""Towers that several processes train, each with some of the items, are those that one process trains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from funnel.errors import ConfigError
from funnel.towers.training import checkpoint
from funnel.towers.training.ranks import Ranks, Shard
from funnel.towers.training.saving import resharded
from funnel.towers.training.sharded import train_sharded
from funnel.towers.training.train import train

from .processes import SAMPLED, config, first_step, in_processes, outcome, refused
from .world import N_ITEMS, world

SETS = {**SAMPLED, "graph": 0}
KINDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "sampled": ("time", SAMPLED),
    "full": ("time", {"loss": "full_softmax"}),
    "streaming": ("order", {**SAMPLED, "frequencies": "streaming", "in_batch": 1.0}),
    "sets": ("none", SETS),
}


def everything(ranks: Ranks, folder: Path) -> dict[str, Any]:
    """All that is looked at below, in one go, since a process takes seconds to begin."""
    wrong = config(**SAMPLED)
    found: dict[str, Any] = {
        "steps": {name: first_step(ranks, **KINDS[name][1]) for name in ("sampled", "full")},
        "trained": {name: outcome(clock, **changes) for name, (clock, changes) in KINDS.items()},
        "seed": refused(lambda: train_sharded(*world().arguments(), wrong, seed=ranks.rank)),
        "graph": refused(lambda: train_sharded(*world("none").arguments(), config(graph=2))),
        "hard": refused(lambda: train_sharded(*world().arguments(), config(**SAMPLED, hard=0.5))),
    }
    found["stopped"] = outcome("time", folder / "two", stop=1, **SAMPLED)
    found["files"] = sorted(path.name for path in (folder / "two").iterdir())
    ranks.wait()
    found["resumed"] = outcome("time", folder / "two", **SAMPLED)
    outcome("time", folder / "one", stop=1, **SAMPLED)
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("processes")


@pytest.fixture(scope="module")
def two(folder: Path) -> list[dict[str, Any]]:
    return in_processes(2, everything, folder)


def apart(found: torch.Tensor, want: torch.Tensor) -> float:
    """The largest difference, as a share of the largest number, or of 1."""
    return float((found - want).abs().max() / want.abs().max().clamp(min=1))


@pytest.mark.parametrize("name", ["sampled", "full"])
def test_gradients_are_those_of_one_process(two: list[dict[str, Any]], name: str) -> None:
    one = first_step(Ranks(), **KINDS[name][1])
    ids = torch.empty_like(one["ids"])
    for rank, part in enumerate(two):
        mine = part["steps"][name]
        assert mine.keys() == one.keys()
        assert mine["loss"] == pytest.approx(one["loss"], abs=1e-6)
        ids[0], ids[1 + rank :: 2] = mine["ids"][0], mine["ids"][1:]
        for weight in one.keys() - {"loss", "ids"}:
            assert apart(mine[weight], one[weight]) <= 1e-6, weight
    assert apart(ids, one["ids"]) <= 1e-6
    assert one["ids"].abs().sum() > 0


@pytest.mark.parametrize("name", KINDS)
def test_a_training_is_that_of_one_process(two: list[dict[str, Any]], name: str) -> None:
    clock, changes = KINDS[name]
    one = train(*world(clock).arguments(), config(**changes))
    first, second = (part["trained"][name] for part in two)
    assert not second["whole"]  # process 0 alone has the towers
    losses = [epoch.loss for epoch in one.epochs]
    assert first["losses"][0] == pytest.approx(losses[0], abs=1e-5)
    assert first["losses"] == pytest.approx(losses, abs=1e-4)
    assert first["validation"] == pytest.approx([epoch.validation for epoch in one.epochs], abs=0.02)
    assert first["vectors"].shape == one.item_vectors.shape
    torch.testing.assert_close(first["vectors"], torch.from_numpy(one.item_vectors), rtol=0, atol=0.01)


def test_each_process_holds_its_share_of_the_table(two: list[dict[str, Any]]) -> None:
    assert [len(part["steps"]["sampled"]["ids"]) for part in two] == [1 + N_ITEMS // 2] * 2


def test_a_checkpoint_a_process_and_going_on_from_them(two: list[dict[str, Any]]) -> None:
    for rank, part in enumerate(two):
        assert part["stopped"]["numbers"] == [0, 1]
        assert f"checkpoint.2.{rank}-of-2.npz" in part["files"]
        assert part["resumed"]["numbers"] == [2]
    assert torch.equal(two[0]["resumed"]["vectors"], two[0]["trained"]["sampled"]["vectors"])


def test_another_number_of_processes_goes_on_from_them(two: list[dict[str, Any]], folder: Path) -> None:
    numbers: list[int] = []
    settings = config(**SAMPLED)
    one = train(
        *world().arguments(), settings, folder=folder / "one", on_epoch=lambda e: numbers.append(e.number)
    )
    assert numbers == [2]
    torch.testing.assert_close(
        torch.from_numpy(one.item_vectors), two[0]["trained"]["sampled"]["vectors"], rtol=0, atol=0.01
    )
    assert [path.name for path in (folder / "one").iterdir()] == [checkpoint.NAME]


@pytest.mark.parametrize("before", [1, 2, 3, 5])
@pytest.mark.parametrize("now", [1, 2, 4])
def test_rows_are_dealt_out_anew(before: int, now: int) -> None:
    n = 13
    whole = torch.arange(1, n + 2.0)[:, None] * torch.tensor([1.0, 10.0])
    parts = [torch.cat([whole[:1], whole[1:][Shard(r, before).rows(n)]]) for r in range(before)]
    for rank in range(now):
        want = torch.cat([whole[:1], whole[1:][Shard(rank, now).rows(n)]])
        assert torch.equal(resharded(parts, rank, now), want)


def test_what_cannot_be_trained_so_is_refused_before_it_begins(two: list[dict[str, Any]]) -> None:
    for rank, part in enumerate(two):
        assert part["seed"].startswith(f"DataError: process {1 - rank} of 2 was given another")
        assert "towers.graph = 0" in part["graph"]
        assert "towers.hard = 0" in part["hard"]
    with pytest.raises(ConfigError, match="init_process_group"):
        train_sharded(*world().arguments(), config())
