"""Models and lists for benchmarks/trees.py, made once and kept in its work folder."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

TREES, LEAVES, ROWS, LISTS = 300, 63, 500, 30
#: Lengths of short lists.
FEW_ROWS = (1, 4, 16, 64)


@dataclass(frozen=True)
class Case:
    """Lists to be scored: CASE.npy, float32 [requests, ROWS, F]; the model is MODEL.txt."""

    name: str
    model: str
    requests: int
    about: str


def funnel_cases(work: Path, seed: int) -> list[Case]:
    """The funnel's lists as they are; their rows shuffled, so that nothing is shared; then half shared."""
    if not (work / "funnel.txt").exists():
        _make_funnel(work, seed)
    lists = np.load(work / "request.npy")
    shared = (lists == lists[:, :1]) | (np.isnan(lists) & np.isnan(lists[:, :1]))
    share = float(shared.all(axis=1).mean())
    model = f"{TREES} trees of {LEAVES} leaves on {lists.shape[2]} features of a synthetic world"
    return [
        Case(
            "request",
            "funnel",
            len(lists),
            f"{model}; a request's own list, {share:.0%} of the features shared",
        ),
        Case("mixed", "funnel", len(lists), f"{model}; rows of different requests, no feature shared"),
        Case(
            "half", "funnel", len(lists), f"{model}; rows of different requests, every other feature shared"
        ),
    ]


def few_cases(work: Path, seed: int) -> list[Case]:
    """The first rows of the funnel's lists: pages of few results, the bidders of an auction."""
    about = funnel_cases(work, seed)[0]
    lists, cases = np.load(work / f"{about.name}.npy"), []
    for rows in FEW_ROWS:
        np.save(work / f"few-{rows}.npy", np.ascontiguousarray(lists[:, :rows]))
        cases.append(Case(f"few-{rows}", about.model, about.requests, f"{about.about}; {rows} rows of it"))
    return cases


def _make_funnel(work: Path, seed: int) -> None:
    from funnel import config as configs
    from funnel.artifacts import Store
    from funnel.bundle.contents import load_contents
    from funnel.pipeline import build, prepare, train_towers
    from funnel.ranker import Ranker, RankerConfig, training_lists
    from funnel.stages import Filter

    raw = {
        "name": "trees", "seed": seed, "data": {"reader": "synthetic", "path": str(work / "world"),
        "synthetic": {"users": 3000, "items": 5000, "seed": seed}}, "split": {"kind": "time"},
        "towers": {"d": 32, "epochs": 2, "history": 20}, "ranker": {"trees": 5}, "retrieve": {"k": ROWS},
        "evaluate": {"latency_requests": 1},
    }  # fmt: skip
    prepared = prepare(configs.parse(raw))
    towers = train_towers(prepared, Store(work / "embeddings"))
    contents = load_contents(build(prepared, towers, Store(work / "indexes")).folder)
    features, retrieve = contents.candidate_features(), contents.retriever()
    learn, test = prepared.split.ranker, prepared.split.test
    learn = learn.take(np.arange(min(len(learn), 1500)))
    config = RankerConfig(trees=TREES, leaves=LEAVES, min_data_in_leaf=20, seed=seed)
    lists = training_lists(learn.requests, retrieve(learn.requests), learn.targets, features, config)
    Ranker.fit(lists, None, config).save(work / "ranker")
    asked = test.take(np.arange(min(len(test), 200))).requests
    candidates = Filter(ROWS)(asked, retrieve(asked))
    full = np.flatnonzero(candidates.filled.sum(axis=1) == ROWS)[:LISTS]
    matrix = features.matrix(asked.take(full), candidates.take(full))
    mixed = np.random.default_rng(seed).permutation(matrix.reshape(-1, matrix.shape[2])).reshape(matrix.shape)
    half = mixed.copy()
    half[:, :, ::2] = half[:, :1, ::2]
    for name, lists_of in (("request", matrix), ("mixed", mixed), ("half", half)):
        np.save(work / f"{name}.npy", lists_of)
    (work / "funnel.txt").write_text(_plain((work / "ranker" / "model.txt").read_text()))


def example_case(work: Path, folder: Path, seed: int) -> Case:
    """LightGBM's own ranking example, its test rows in lists drawn at random."""
    import lightgbm
    from sklearn.datasets import load_svmlight_file

    if not (work / "example.txt").exists():
        parts = [
            load_svmlight_file(str(folder / f"rank.{name}"), n_features=301, zero_based=True)
            for name in ("train", "test")
        ]
        (rows, labels), (test, _) = [(x.toarray().astype(np.float32), y) for x, y in parts]
        data = lightgbm.Dataset(rows, labels, group=np.loadtxt(folder / "rank.train.query", dtype=int))
        options = {"objective": "lambdarank", "num_leaves": LEAVES, "min_data_in_leaf": 5, "seed": seed}
        booster = lightgbm.train({**options, "verbosity": -1, "num_threads": 1}, data, TREES)
        (work / "example.txt").write_text(_plain(booster.model_to_string()))
        drawn = np.random.default_rng(seed).integers(len(test), size=(LISTS, ROWS))
        np.save(work / "example.npy", test[drawn])
    about = f"{TREES} trees of {LEAVES} leaves on the 300 sparse features of LightGBM's ranking example"
    return Case("example", "example", LISTS, about)


def _plain(model: str) -> str:
    """The model with an objective whose scores every peer knows and leaves as they are; one that was grown by
    an objective of our own names none."""
    without = re.sub("^objective=.*\n", "", model, count=1, flags=re.MULTILINE)
    named = without.replace("\nfeature_names=", "\nobjective=regression\nfeature_names=", 1)
    return re.sub(r"^\[objective: .*\]$", "[objective: regression]", named, count=1, flags=re.MULTILINE)
