"""What learning from shown lists is worth in a made-up world whose true clicks are known.

Three rankers of one world and one pair of towers: without impressions, from impressions with every click
counting the same, and with clicks weighted by how far their position is looked at. Judged by the true chance
of a click on the first ten, as a share of the best possible list's (DCG), paired by request.

    python -m benchmarks.impressions [--quick] [--out benchmarks/results/impressions.json]
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from funnel import config as configs
from funnel.artifacts import Store
from funnel.bundle.contents import Contents, load_contents
from funnel.data.readers.synthetic import read_world
from funnel.evaluation import Difference, compute, paired
from funnel.evaluation.ideal import true_gains
from funnel.pipeline import build, prepare, train_towers
from funnel.synthetic import LatentTruth, SyntheticConfig, write_world
from funnel.types import Examples, Int32

K, _BATCH = 10, 250
DISCOUNTS = 1 / np.log2(np.arange(2, K + 2))

RANKERS: dict[str, dict[str, Any]] = {
    "without impressions": {"ranker": {"impressions": False}},
    "clicks count the same": {"ranker": {"propensity": "none"}, "rank": {"value": "p_click"}},
    "clicks weighted": {"rank": {"value": "p_click"}},
}


def main() -> None:
    """Make the world, build three bundles of it, and print and write what they are worth."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small world: a look, not a figure")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = measure(Path(folder), quick=arguments.quick)
    text = json.dumps(result, indent=1)
    Console().print_json(text)
    if arguments.out:
        arguments.out.write_text(text + "\n")


def measure(folder: Path, *, quick: bool) -> dict[str, Any]:
    """All figures. folder: for the world, its towers and its bundles."""
    size = {"users": 600, "items": 400} if quick else {"users": 4000, "items": 3000}
    world = SyntheticConfig(**size, seed=1)
    dataset = read_world(write_world(world, folder / "world"))
    shares: dict[str, NDArray[np.float64]] = {}
    ndcg: dict[str, float] = {}
    result: dict[str, Any] = {"world": world.model_dump(mode="json")}
    for name, sections in RANKERS.items():
        config = _config(quick, sections)
        prepared = prepare(config, dataset)
        towers = train_towers(prepared, Store(folder / "embeddings"))
        store = Store(folder / name.replace(" ", "-"))
        built = build(prepared, towers, store)
        contents, some = load_contents(built.folder), _some(prepared.split.test)
        for stage, lists in _lists(contents, some).items():
            label = stage if stage == "retrieve" else f"{stage}, {name}"
            shares[label] = _shares(lists, some, dataset.truth)
            ndcg[label] = float(compute(f"ndcg@{K}", lists, some.targets).mean())
        users = some.requests.users
        if contents.propensities is not None:
            result["propensities"] = _propensities(contents, dataset.truth)
        result.setdefault("probabilities", {})[name] = [one.sentence for one in built.report.probabilities]
    result["requests"] = len(users)
    result["share of the ideal"] = {name: round(float(each.mean()), 4) for name, each in shares.items()}
    result["ndcg@10 of logged events"] = {name: round(value, 4) for name, value in ndcg.items()}
    result["differences"] = {
        f"{a} less {b}": _figures(paired(shares[a], shares[b], users, seed=0))
        for a, b in (
            ("rank, clicks weighted", "rank, clicks count the same"),
            ("value, clicks weighted", "value, clicks count the same"),
            ("rank, clicks weighted", "rank, without impressions"),
            ("value, clicks weighted", "rank, without impressions"),
            ("rank, clicks weighted", "retrieve"),
            ("value, clicks weighted", "rank, clicks weighted"),
        )
    }
    return result


def _config(quick: bool, sections: dict[str, Any]) -> configs.Config:
    towers = {"d": 16, "epochs": 2, "layers": 1} if quick else {"d": 32, "epochs": 3}
    requests = 600 if quick else 4000
    return configs.configure(
        "impressions",
        split={"kind": "time", "protocol": "event", "max_requests": requests},
        towers=towers,
        evaluate={"latency_requests": 5},
        **sections,
    )


def _some(test: Examples) -> Examples:
    return test.take(np.sort(np.random.default_rng(0).permutation(len(test))[:1500]))


def _lists(contents: Contents, examples: Examples) -> dict[str, Int32]:
    """The first ten of the stages that order: int32 [B, 10] each."""
    funnel, parts = contents.funnel(K), dict[str, list[Int32]]()
    for start in range(0, len(examples), _BATCH):
        batch = examples.take(np.arange(start, min(start + _BATCH, len(examples))))
        for step in funnel.trace(batch.requests):
            if step.name in ("retrieve", "rank", "value"):
                parts.setdefault(step.name, []).append(step.candidates.items[:, :K])
    return {name: np.concatenate(lists) for name, lists in parts.items()}


def _shares(lists: Int32, examples: Examples, truth: Any) -> NDArray[np.float64]:
    """DCG@10 by the true chance of a click over that of the best possible list: [B]."""
    assert isinstance(truth, LatentTruth)
    gains = true_gains(lambda some: truth.scores(some.users, some.times))(examples.requests)
    reached = (np.take_along_axis(gains, np.maximum(lists, 0), axis=1) * (lists >= 0)) @ DISCOUNTS
    seen = examples.requests.exclude
    if seen is not None:
        gains[seen.list_of, seen.values] = 0
    best: NDArray[np.float64] = -np.sort(-gains, axis=1)[:, :K] @ DISCOUNTS
    return reached / best


def _propensities(contents: Contents, truth: Any) -> dict[str, Any]:
    assert contents.propensities is not None
    found, true = (
        np.array(contents.propensities.values),
        truth.examination[: len(contents.propensities.values)],
    )
    if len(found) == 1:
        return {}
    return {
        "found": [round(value, 4) for value in found.tolist()],
        "true": [round(float(value), 4) for value in true],
        "largest difference": round(float(np.abs(found - true).max()), 4),
    }


def _figures(difference: Difference) -> dict[str, float]:
    return {name: round(float(getattr(difference, name)), 4) for name in ("mean", "lo", "hi")}


if __name__ == "__main__":
    main()
