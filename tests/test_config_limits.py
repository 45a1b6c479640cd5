"""A setting that cannot lead to a bundle is refused when it is read, or once the data are."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from pydantic import BaseModel

from funnel import config as configs
from funnel.artifacts import Store
from funnel.config import Config
from funnel.errors import ConfigError, DataError
from funnel.pipeline import build, check, prepare, train_towers
from tests.conftest import ROOT
from tests.processes import refused
from tests.tiny import TinyBuild, movie_config

WRONG: dict[str, dict[str, Any]] = {
    "retrieve.k": {"retrieve": {"k": 10_200}},
    "retrieve.sources": {"retrieve": {"sources": ["towers", "towers"]}},
    "evaluate.ks": {"evaluate": {"ks": []}},
    "evaluate.ks.0": {"evaluate": {"ks": [0]}},
    "10, 50": {"evaluate": {"ks": [50, 10]}},
    "each once": {"evaluate": {"ks": [10, 10]}},
    "evaluate.latency_requests": {"evaluate": {"latency_requests": 0}},
    "index.params.nprobe": {"index": {"spec": "IVF4,Flat", "params": {"nprobe": 0}}},
    "has none": {"index": {"spec": "Flat", "params": {"nprobe": 4}}},
    "index.spec is 'Nonsense'": {"index": {"spec": "Nonsense"}},
    "multiple of the number of subquantizers": {"index": {"spec": "PQ7"}},
    "at least one inverted list": {"index": {"spec": "IVF0,Flat"}},
    "128 directions of 16": {"index": {"spec": "PCA128,Flat"}},
    "add_with_ids": {"index": {"spec": "IDMap,Flat"}},
    "not a text": {"index": {"spec": "\ud800"}},
    "ranker.leaves": {"ranker": {"leaves": 65_537}},
    "ranker.bagging_fraction": {"ranker": {"bagging_fraction": 1e-4}},
    "ranker.negatives": {"ranker": {"negatives": 1}},
    "ranker.lists": {"ranker": {"lists": 2}},
    "ranker.min_data_in_leaf": {"ranker": {"min_data_in_leaf": 2**31}},
    "seed": {"seed": -1},
    "2147483648": {"seed": 2**31},
    "`k` is true": {"retrieve": {"k": True}},
    "towers.lr": {"towers": {"lr": float("inf")}},
    "'towers.lr' is 1.5": {"towers": {"lr": 1.5}},
    "towers.weight_decay": {"towers": {"weight_decay": 11}},
    "towers.temperature": {"towers": {"temperature": 0.009}},
    "with normalize = false there are none": {"towers": {"temperature": 0.1, "normalize": False}},
    "multiple of heads": {"towers": {"d": 16, "heads": 3}},
    'only kind = "time"': {"split": {"kind": "leave_one_out", "test": 0.5}},
    "must start before": {"split": {"ranker": "2024-02-01", "test": "2024-01-01"}},
    "`reading` is the earlier name of `protocol`": {"split": {"reading": "event", "protocol": "event"}},
    "history_limit": {"split": {"protocol": "window", "history_limit": 7}},
}


@pytest.mark.parametrize("said", WRONG)
def test_refused_when_read(said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        movie_config(tmp_path, **WRONG[said])
    assert said in str(caught.value)


def test_a_config_from_before_a_key_was_renamed_is_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    split = {"ranker": 0.6, "test": 0.8}
    earlier = movie_config(tmp_path, split={**split, "reading": "event"})
    assert "`reading` is called `protocol` now" in caplog.text
    assert earlier == movie_config(tmp_path, split={**split, "protocol": "event"})


def test_the_bounds_themselves_are_taken(tmp_path: Path) -> None:
    kept = movie_config(
        tmp_path, retrieve={"k": 10_000}, evaluate={"ks": [1, 10_000]}, seed=2**31 - 1,
        ranker={"leaves": 65_536, "lists": 4}, index={"spec": "IVF4,PQ8x4fs", "params": {"nprobe": 4}},
    )  # fmt: skip
    assert kept.retrieve.k == 10_000


UNFIT: dict[str, dict[str, Any]] = {
    "there are 200 items": {"index": {"spec": "IVF1024,Flat"}},
    "256 vectors at least": {"index": {"spec": "PQ8"}},
    "index.params": {"index": {"params": {"nprobe": 4}}},  # "auto" is Flat for so few
    "did you mean 'popularity.all'": {"features": {"names": ["popularity.al"]}},
    "retrieve.sources": {"retrieve": {"sources": ["spectral"]}},
}


@pytest.mark.parametrize("said", UNFIT)
def test_refused_once_the_data_are_read(said: str, built: TinyBuild, tmp_path: Path) -> None:
    """By the steps one by one, and nothing is left behind."""
    config = movie_config(Path(str(built.config.data.path)), **UNFIT[said])
    prepared = prepare(config)
    for step in (
        lambda: check(prepared),
        lambda: train_towers(prepared, Store(tmp_path / "embeddings")),
        lambda: build(prepared, tmp_path, Store(tmp_path / "indexes")),
    ):
        with pytest.raises(ConfigError) as caught:
            step()
        assert said in str(caught.value)
    assert not list(tmp_path.glob("*/*"))


def test_lists_that_would_grow_beyond_what_lightgbm_takes(built: TinyBuild) -> None:
    """200 items fit; as many as LightGBM takes, and what is appended to them, do not."""
    config = movie_config(
        Path(str(built.config.data.path)), ranker={"missed": "append"}, retrieve={"k": 10_000}
    )
    check(prepare(config))
    prepared = prepare(config)
    data = prepared.dataset
    many = data.items.iloc[np.zeros(10_000, dtype=int)]
    object.__setattr__(data, "items", many)
    with pytest.raises(ConfigError, match=r"ranker\.missed"):
        check(prepared)


@pytest.mark.parametrize("command", ["train", "build", "run"])
def test_every_command_refuses_what_one_refuses(command: str, movies: Path, tmp_path: Path) -> None:
    """Events of the year 2100, which no night is spent on."""
    folder = tmp_path / "movies"
    folder.mkdir()
    for path in movies.iterdir():
        (folder / path.name).write_text(path.read_text())
    lines = (folder / "ratings.csv").read_text().splitlines()
    lines.append("1,1,4.0,4102444800")
    (folder / "ratings.csv").write_text("\n".join(lines))
    config = tmp_path / "movies.toml"
    config.write_text('name = "movies"\n[data]\nreader = "movielens"\n[towers]\nd = 16\nepochs = 1\n')
    stores = ["--embeddings", tmp_path / "e"] + ([] if command == "train" else ["--store", tmp_path / "i"])
    assert "in the future" in " ".join(refused(command, config, "--data", folder, *stores).split())


def test_a_data_error_is_one(built: TinyBuild) -> None:
    """`check` raises what it says: the kinds of error are told apart by callers."""
    assert check(built.prepared) is None
    assert not issubclass(ConfigError, DataError)


def _keys(model: type[BaseModel], place: str = "") -> list[str]:
    """All keys of the config: section.key."""
    found = []
    for name, one in model.model_fields.items():
        options = [one.annotation, *get_args(one.annotation)]
        inner = [o for o in options if isinstance(o, type) and issubclass(o, BaseModel)]
        found += _keys(inner[0], f"{place}{name}.") if inner else [f"{place}{name}"]
    return found


def test_every_key_is_read_somewhere() -> None:
    """As an attribute, outside of its own checks: what is taken and not used is a broken promise."""
    read = set[str]().union(*map(_read, (ROOT / "src" / "funnel").rglob("*.py")))
    by_option = {"min_rating", "interactions", "synthetic"}  # by name, in funnel.data.readers.read
    by_option |= {"conditions"}  # by name, in funnel.service.limits
    unread = [key for key in _keys(Config) if key.split(".")[-1] not in read | by_option]
    assert unread == []


def _read(path: Path) -> set[str]:
    """The attributes that a file reads, but for the validators of settings."""
    tree = ast.parse(path.read_text())
    functions = [one for one in ast.walk(tree) if isinstance(one, ast.FunctionDef) and _validates(one)]
    skipped = {id(node) for one in functions for node in ast.walk(one)}
    nodes = [one for one in ast.walk(tree) if isinstance(one, ast.Attribute) and id(one) not in skipped]
    return {one.attr for one in nodes}


def _validates(function: ast.FunctionDef) -> bool:
    return any("validator" in ast.unparse(one) for one in function.decorator_list)


def test_the_configs_that_come_with_it_are_taken() -> None:
    for path in sorted((ROOT / "configs").glob("*.toml")):
        assert configs.load(path, data=ROOT).name
