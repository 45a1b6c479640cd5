"""Expected values that read the context, towers that start from earlier ones, and what it is all worth."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from benchmarks import context
from funnel import Live
from funnel import config as configs
from funnel.artifacts import Store
from funnel.errors import ConfigError
from funnel.pipeline import prepare, train_towers
from funnel.pipeline.checks import check
from funnel.pipeline.prepare import Prepared
from funnel.pipeline.train import TRAINING
from funnel.towers.training.weights import load_weights
from tests.context.shop import SCHEMA, Shop
from tests.undrawn import build

VALUE = "p_event * max(limit - price, 0)"


@pytest.fixture(scope="module")
def valued(asked: Shop, tmp_path_factory: pytest.TempPathFactory) -> Live:
    """The shop's towers, published under a value that reads a number of the context."""
    folder, towers = tmp_path_factory.mktemp("valued"), Store(asked.folder / "embeddings")
    prepared = with_value(asked, VALUE)
    version = build(prepared, towers.path(towers.versions()[0].version), Store(folder)).version
    Store(folder).publish(version)
    return Live(folder)


def with_value(asked: Shop, value: str) -> Prepared:
    config = asked.prepared.config
    raw = config.model_dump(mode="json") | {"rank": {"value": value}}
    return prepare(configs.parse(raw), asked.data)


def test_a_value_reads_a_number_of_the_request(valued: Live) -> None:
    for limit in (20.0, 90.0):
        answer = valued.recommend("u3", 10, context={"limit": limit}, seen="allow")
        worth = [
            item.probabilities["event"] * max(limit - item.attributes["price"], 0) for item in answer.items
        ]
        assert [item.value["expected"] for item in answer.items] == pytest.approx(worth)
        assert {item.value["limit"] for item in answer.items} == {limit}
        assert worth == sorted(worth, reverse=True)
    contexts = [{"limit": 30}, {"limit": 60}]
    for said, answer in zip(contexts, valued.recommend_many(["u1", "u1"], context=contexts), strict=True):
        assert answer.items == valued.recommend("u1", context=said).items


def test_a_value_that_is_not_known_leaves_the_rankers_order(valued: Live) -> None:
    answer = valued.recommend("u3", 10, context={"place": "home"})
    assert all("no_value" in item.reasons for item in answer.items)
    probable = [item.probabilities["event"] for item in answer.items]
    assert probable == sorted(probable, reverse=True)


def test_names_that_mean_nothing_or_two_things_are_told_before_training(asked: Shop) -> None:
    with pytest.raises(ConfigError, match=r"'limitt' in .* is not known; did you mean 'limit'\?"):
        check(with_value(asked, "p_event * limitt"))
    with pytest.raises(ConfigError, match=r"'place' in .* is not known"):
        check(with_value(asked, "p_event * place"))
    schema = SCHEMA.model_dump()
    schema["events"][2]["name"] = "price"
    events = asked.data.events.rename(columns={"limit": "price"})
    data = type(asked.data).from_frames(type(SCHEMA)(**schema), events, items=asked.data.items)
    raw = asked.prepared.config.model_dump(mode="json") | {"rank": {"value": "p_event * price"}}
    with pytest.raises(ConfigError, match="'price' is a column of items and of the context: rename one"):
        check(prepare(configs.parse(raw), data))
    raw["rank"] = {"value": "p_event", "floor": {"price": 1.0}}
    with pytest.raises(ConfigError, match=r"rank\.floor: 'price' is a column of items and of the context"):
        check(prepare(configs.parse(raw), data))


def test_training_that_starts_from_earlier_towers_knows_the_values_by_name(
    asked: Shop, tmp_path: Path
) -> None:
    store = Store(asked.folder / "embeddings")
    (first,) = [manifest.version for manifest in store.versions()]
    events = asked.data.events.copy()
    renamed = {"home": "search", "search": "front", "basket": "home"}  # other codes, and a new value
    events["place"] = events["place"].map(renamed)
    data = type(asked.data).from_frames(SCHEMA, events, items=asked.data.items, name="again")
    config = asked.prepared.config.model_dump(mode="json")
    config["towers"] |= {"epochs": 1, "lr": 1e-9, "weight_decay": 0.0}
    prepared = prepare(configs.parse(config), data)
    folder = train_towers(prepared, Store(tmp_path / "again"))
    fresh = places(folder, prepared)
    later = tmp_path / "later"
    later.mkdir()
    (later / first).symlink_to(store.path(first), target_is_directory=True)
    folder = train_towers(prepared, Store(later), start_from=first)
    before, after = places(store.path(first), asked.prepared), places(folder, prepared)
    assert set(before) == {"", "home", "search", "basket"}
    assert set(after) == set(fresh) == {"", "home", "search", "front"}
    for value in ("", "home", "search"):
        np.testing.assert_allclose(after[value], before[value], atol=1e-6)
        assert not np.allclose(fresh[value], after[value], atol=1e-3)


def places(towers: Path, prepared: Prepared) -> dict[str, np.ndarray]:
    """What the query tower learned of each place, and of one that is not known."""
    known = prepared.context
    assert known is not None
    table = list(known.tower_specs).index("place")
    state, _ = load_weights(towers / TRAINING)
    names = ["", *known.values("place")]
    return dict(zip(names, state[f"query.context.tables.{table}"].numpy(), strict=True))


def test_the_benchmark_finds_what_knowing_the_place_is_worth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(context, "QUICK", (150, 60, 20, 4, 40))
    app = typer.Typer()
    app.command()(context.main)
    done = CliRunner().invoke(app, ["--quick", "--results", str(tmp_path)])
    assert done.exit_code == 0, done.output
    (run,) = json.loads((tmp_path / "context-quick.json").read_text())["runs"]
    assert run["with / without"]["final"]["times"] > 1.15
    assert run["with / without"]["final"]["difference"][1] > 0
    assert run["true order"]["with"] > run["with"]["final"]
    assert run["true order"]["with"] > run["true order"]["without"]
