"""The same steps on a cluster of two machines, made on this one: what comes out, and what a loss costs."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from funnel import Live
from funnel.artifacts import Store
from funnel.bundle.contents import Contents, load_contents
from funnel.config import Config
from funnel.data import Dataset, Schema
from funnel.errors import BundleError, ConfigError, DataError, FunnelError
from funnel.features import covisitation
from funnel.pipeline import Prepared, prepare, train_towers
from funnel.pipeline import run as pipeline
from funnel.ranker import CrossFit
from funnel.ranker.group import growing_in
from funnel.recipes import Member, Recipe, Workers, done_by, each
from funnel.scale import ScaleConfig, connected
from funnel.scale.shipping import Shipment, delivered
from funnel.serving.batch import recommend_all

from ..apart import Apart
from ..processes import funnel
from ..ranker.test_group import CONFIG, FOLDS, LISTS
from ..tiny import movie_config, write_movies

pytest.importorskip("ray")

import ray
from ray.cluster_utils import Cluster

from .clusters import STORE, made_of


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Two machines. This process is part of them all the while, so that theirs load libraries once."""
    with made_of(2) as made:
        ray.init(address=made.address, logging_level="WARNING")
        yield made
        ray.shutdown()


@pytest.fixture(scope="module")
def scale(cluster: Cluster) -> ScaleConfig:
    return ScaleConfig(address=cluster.address, seconds=300)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    folder = tmp_path_factory.mktemp("data")
    write_movies(folder, users=60, movies=120, seed=3)
    gates = {"holdout": 200, "latency_ms": 10_000.0, "visible_fall": 0.5, "baseline_fall": 1.0}
    gates["slice_fall"] = 1.0  # of seventy requests a genre, which other trees rank otherwise
    towers, index = {"d": 8, "layers": 1, "heads": 1, "epochs": 2}, {"spec": "IVF4,Flat", "shards": 3}
    ranker = {"trees": 15, "leaves": 7, "lists": 300, "objective": "rank_xendcg"}
    return movie_config(folder, towers=towers, ranker=ranker, gates=gates, index=index)


@pytest.fixture(scope="module")
def alone(config: Config, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The store of a run in this process alone, and its bundle."""
    where = tmp_path_factory.mktemp("alone")
    outcome = pipeline.run(config, Store(where / "indexes"), Store(where / "embeddings"))
    return where, outcome.version


class Recorded:
    """Workers, and what they were given: each recipe's function, and how many parts of it."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self.given: Counter[str] = Counter()

    def each(self, recipe: Recipe, parts: Iterable[Any]) -> Iterator[Any]:
        parts = list(parts)
        self.given[recipe.make.__name__] += len(parts)
        return self._workers.each(recipe, parts)

    def together(self, recipe: Recipe, n: int) -> list[Any]:
        self.given[recipe.make.__name__] += n
        return self._workers.together(recipe, n)


def test_a_run_on_two_machines_makes_the_bundle_of_a_run_on_none(
    config: Config,
    alone: tuple[Path, str],
    scale: ScaleConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    where, version = alone
    monkeypatch.setattr(covisitation, "_BLOCK", 32)
    monkeypatch.chdir(tmp_path)
    indexes, embeddings = Store(Path("indexes")), Store(Path("embeddings"))  # relative, as by default
    with connected(scale, [indexes.folder, embeddings.folder]) as workers:
        recorded = Recorded(workers)
        with done_by(recorded):
            outcome = pipeline.run(config, indexes, embeddings)
    assert outcome.version == version
    assert recorded.given["_filler"] == 2 * 3  # shards, for the test and for the ranker's window
    assert recorded.given["_counter"] == 2 * 2 * 4  # blocks of 120 items: pairs and steps, for both
    here, there = (Store(path / "indexes").path(version) for path in (where, tmp_path))
    for path in sorted(here.rglob("*")):
        if path.suffix in (".npy", ".faiss") or path.name == "model.txt":
            assert path.read_bytes() == (there / path.relative_to(here)).read_bytes(), path
    assert not [path for path in tmp_path.rglob(".*") if path.name.startswith((".pairs", ".shards"))]
    seen = {line.step: line.facts.get("metrics") for line in outcome.lines}
    assert seen["evaluate"]


def write_parts(folder: Path) -> Path:
    """Events in three files, of which this is the last."""
    rng = np.random.default_rng(0)
    (folder / "events").mkdir(parents=True)
    for number in range(3):
        part = {
            name: [f"{name[0]}{id}" for id in rng.integers(50, size=400)] for name in ("user_id", "item_id")
        }
        path = folder / "events" / f"{number}.parquet"
        pd.DataFrame({**part, "time": rng.integers(900, size=400)}).to_parquet(path, index=False)
    return path


def test_a_table_in_parts_is_read_by_workers(scale: ScaleConfig, tmp_path: Path) -> None:
    path = write_parts(tmp_path)
    alone = Dataset.from_folder(tmp_path, Schema())
    with connected(scale) as workers:
        recorded = Recorded(workers)
        with done_by(recorded):
            data = Dataset.from_folder(tmp_path, Schema())
            assert data.checksum() == alone.checksum()
            assert recorded.given == {"part_reader": 3}
            path.write_bytes(path.read_bytes()[:-200])
            with pytest.raises(DataError, match=r"2\.parquet cannot be read"):
                Dataset.from_folder(tmp_path, Schema())


def test_lists_of_everybody_are_the_same_from_workers(
    alone: tuple[Path, str], scale: ScaleConfig, tmp_path: Path
) -> None:
    live = Live(alone[0] / "indexes")
    assert list(recommend_all(live, tmp_path / "alone.parquet"))
    with connected(scale) as workers, done_by(workers):
        assert list(recommend_all(live, tmp_path / "workers.parquet"))
    pd.testing.assert_frame_equal(
        pd.read_parquet(tmp_path / "alone.parquet"), pd.read_parquet(tmp_path / "workers.parquet")
    )
    assert not list(tmp_path.glob("*.parts"))


def test_the_command_takes_an_address(alone: tuple[Path, str], config: Config, scale: ScaleConfig) -> None:
    where = alone[0]
    path = where / "movies.toml"
    path.write_text(
        f'name = "{config.name}"\n[data]\nreader = "movielens"\npath = "{config.data.path}"\n'
        '[split]\nkind = "time"\nprotocol = "event"\nranker = 0.6\ntest = 0.8\n'
    )
    arguments = ["run", path, "--store", where / "indexes", "--embeddings", where / "embeddings"]
    wrong = funnel(*arguments, "--ray", "nowhere", cwd=where)
    assert wrong.returncode == 1
    assert "`local`, `auto`, `host:port` or `ray://host:port` is expected" in " ".join(wrong.stderr.split())


def _dies_once(mark: str) -> Callable[[int], int]:
    def work(part: int) -> int:
        if part == 3 and not Path(mark).exists():
            Path(mark).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return part * part

    return work


def test_what_a_killed_worker_had_is_done_again(scale: ScaleConfig, tmp_path: Path) -> None:
    recipe = Recipe(_dies_once, str(tmp_path / "died"))
    with connected(scale) as workers, done_by(workers):
        assert list(each(recipe, range(12))) == [part * part for part in range(12)]
    assert (tmp_path / "died").exists()


def _to_stderr(*_: object) -> bool:
    return os.path.sameopenfile(1, 2)


def _printing() -> Callable[[object], bool]:
    return _to_stderr


def test_what_workers_print_is_no_part_of_a_commands_result(scale: ScaleConfig) -> None:
    """LightGBM writes to the file itself, whatever its level."""
    with connected(scale) as workers, done_by(workers):
        assert list(each(Recipe(_printing), range(2))) == [True, True]
        assert workers.together(Recipe(_printing), 2) == [True, True]


def _slow(folder: str) -> Callable[[int], int]:
    def work(part: int) -> int:
        Path(folder, f"begun-{part}").touch()
        time.sleep(0.2)
        return part

    return work


def test_what_a_lost_machine_had_is_done_by_others(
    cluster: Cluster, scale: ScaleConfig, tmp_path: Path
) -> None:
    third = cluster.add_node(num_cpus=2, object_store_memory=STORE)
    with connected(scale) as workers, done_by(workers):
        results = each(Recipe(_slow, str(tmp_path)), range(24))
        done = [next(results) for _ in range(4)]
        cluster.remove_node(third, allow_graceful=False)
        assert done + list(results) == list(range(24))


class Dies:
    """After each epoch: a line in a file; and once, in process 1 after the second, the end of the process."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)  # one that all see: a path would go by what it holds

    def __call__(self, epoch: Any) -> None:
        import torch.distributed as dist

        with Path(self._folder, f"epochs-{dist.get_rank()}").open("a") as file:
            file.write(f"{epoch.number}\n")
        dead = Path(self._folder, "dead")
        if dist.get_rank() == 1 and epoch.number == 1 and not dead.exists():
            dead.touch()
            os.kill(os.getpid(), signal.SIGKILL)


class Killing(Recorded):
    """Workers of which one is killed in a training."""

    def __init__(self, workers: Workers, folder: Path) -> None:
        super().__init__(workers)
        self._folder = folder

    def together(self, recipe: Recipe, n: int) -> list[Any]:
        arguments, options, out = recipe.args
        return super().together(
            Recipe(recipe.make, arguments, {**options, "on_epoch": Dies(self._folder)}, out), n
        )


@pytest.fixture(scope="module")
def sharded(config: Config) -> Prepared:
    """Towers by two processes, and no chance beyond the seeds that these share."""
    still = {"dropout": 0.0, "id_dropout": 0.0, "loss": "sampled_softmax", "negatives": 24, "epochs": 3}
    towers = config.towers.model_copy(update=still)
    scale = config.scale.model_copy(update={"item_shards": 2})
    prepared = prepare(config.model_copy(update={"towers": towers, "scale": scale}))
    once = replace(prepared.split, test_statistics=prepared.split.train)  # they are trained once
    return replace(prepared, split=once)


def test_a_training_of_two_processes_goes_on_when_one_is_killed(
    sharded: Prepared, scale: ScaleConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # stores are named relatively, as by default
    with connected(scale, [tmp_path]) as workers:
        killing = Killing(workers, tmp_path)
        with done_by(killing):
            version = train_towers(sharded, Store(Path("embeddings")))
    assert (tmp_path / "dead").exists()
    for rank in (0, 1):
        numbers = [int(line) for line in (tmp_path / f"epochs-{rank}").read_text().split()]
        assert sorted(set(numbers)) == [0, 1, 2]
        assert len(numbers) <= 3 + 2
    alone = replace(sharded, config=sharded.config.model_copy(update={"scale": ScaleConfig()}))
    one = train_towers(alone, Store(Path("embeddings")))
    assert one.name != version.name  # in how many parts the items are held is an input
    vectors = [np.load(folder / "item_vectors.npy") for folder in (version, one)]
    np.testing.assert_allclose(vectors[0], vectors[1], atol=0.01)
    assert not list(tmp_path.rglob(".checkpoint*"))


def test_items_in_shards_need_a_cluster_and_enough_items(
    sharded: Prepared, scale: ScaleConfig, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"item_shards is 2, .* no cluster is named: give --ray local"):
        train_towers(sharded, Store(tmp_path / "embeddings"))
    many = sharded.config.model_copy(update={"scale": scale.model_copy(update={"item_shards": 500})})
    workers = Nobody()
    with done_by(workers), pytest.raises(ConfigError, match="500 processes share 120 items"):
        train_towers(replace(sharded, config=many), Store(tmp_path / "embeddings"))
    assert not Store(tmp_path / "embeddings").versions()


class Ends:
    """After so many times that processes told each other something: the end of number 1, once."""

    def __init__(self, gather: Callable[[Any], list[Any]], mark: Path, number: int) -> None:
        self._gather, self._mark, self._number, self._times = gather, mark, number, 0

    def __call__(self, value: Any) -> list[Any]:
        self._times += 1
        if self._number == 1 and self._times == 25 and not self._mark.exists():
            self._mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return self._gather(value)


def _grows_and_ends(mark: Path, *about: Any) -> Callable[[Member], Any]:
    grow = growing_in(*about)
    return lambda member: grow(replace(member, gather=Ends(member.gather, mark, member.number)))


class Ending(Recorded):
    """Workers of which one is killed while trees grow."""

    def __init__(self, workers: Workers, mark: Path) -> None:
        super().__init__(workers)
        self._mark = mark

    def together(self, recipe: Recipe, n: int) -> list[Any]:
        assert recipe.make is growing_in
        return super().together(Recipe(_grows_and_ends, self._mark, *recipe.args), n)


def test_trees_of_two_machines_are_the_same_when_one_is_lost(scale: ScaleConfig, tmp_path: Path) -> None:
    few, texts = CONFIG.model_copy(update={"trees": 20}), []
    with connected(scale) as workers:
        for others in (Ending(workers, tmp_path / "dead"), Apart()):
            with done_by(others):
                parts = CrossFit(LISTS, FOLDS, few, 2).rankers()
            texts.append([part.text for part in parts])
    assert (tmp_path / "dead").exists()
    assert texts[0] == texts[1]


def _gathers(mark: Path) -> Callable[[Member], list[int]]:
    def work(member: Member) -> list[int]:
        told = member.gather(member.number)
        if member.number == 1 and not mark.exists():
            mark.touch()
            ray.kill(member.gather._exchange)  # type: ignore[attr-defined]
        return [*told, *member.gather(10 * member.number)]

    return work


def test_all_begin_again_where_what_they_tell_each_other_through_is_lost(
    scale: ScaleConfig, tmp_path: Path
) -> None:
    with connected(scale) as workers:
        told = workers.together(Recipe(_gathers, tmp_path / "killed"), 2)
    assert told == [[0, 1, 0, 10]] * 2
    assert (tmp_path / "killed").exists()


def test_in_how_many_parts_lists_are_is_an_input_of_the_ranker_and_of_no_step_before(
    alone: tuple[Path, str], config: Config, tmp_path: Path
) -> None:
    shutil.copytree(alone[0], tmp_path, dirs_exist_ok=True)
    stores = Store(tmp_path / "indexes"), Store(tmp_path / "embeddings")
    parts = config.model_copy(update={"scale": ScaleConfig(list_shards=2)})
    lines = {line.step: line for line in pipeline.plan(parts, *stores)}
    assert [name for name, line in lines.items() if line.action == "runs"] == ["rank"]
    with pytest.raises(ConfigError, match=r"list_shards is 2, .* no cluster is named"):
        pipeline.run(parts, *stores)
    recorded = Recorded(Apart())
    with done_by(recorded):
        outcome = pipeline.run(parts, *stores)
    assert recorded.given["growing_in"] == 2 * 2  # two processes for each fold's trees, and for those of all
    assert outcome.version != alone[1]
    assert Live(stores[0].folder).recommend(1).items


class Nobody:
    """Workers that must not be called."""

    def each(self, recipe: Recipe, parts: Iterable[Any]) -> Iterator[Any]:
        raise AssertionError(recipe.make)

    def together(self, recipe: Recipe, n: int) -> list[Any]:
        raise AssertionError(recipe.make)


def _together(how: str) -> Callable[[Member], Any]:
    def work(member: Member) -> Any:
        if how == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "fails" and member.number == 1:
            raise DataError("process 1 was given another log")
        if how == "fails":
            raise RuntimeError("Connection closed by peer")
        return member.number, member.of

    return work


def test_processes_work_at_the_same_time_though_there_are_fewer_cores(scale: ScaleConfig) -> None:
    """And where one fails, the reason is told, not what that meant for the others."""
    with connected(scale) as workers:
        assert workers.together(Recipe(_together, "well"), 3) == [(0, 3), (1, 3), (2, 3)]
        with pytest.raises(DataError, match="process 1 was given another log"):
            workers.together(Recipe(_together, "fails"), 2)


def _refuses() -> Callable[[int], int]:
    def work(part: int) -> int:
        raise DataError(f"part {part} is damaged")

    return work


def test_what_goes_wrong_in_a_part_is_raised_as_it_is(scale: ScaleConfig) -> None:
    with (
        connected(scale) as workers,
        done_by(workers),
        pytest.raises(DataError, match="part 0 is damaged"),
    ):
        list(each(Recipe(_refuses), range(3)))


def _always_dies() -> Callable[[int], int]:
    def work(part: int) -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return part

    return work


def test_a_part_that_kills_each_worker_ends_with_what_to_do(scale: ScaleConfig) -> None:
    with connected(scale) as workers, pytest.raises(FunnelError, match="was lost 4 times"):
        workers.together(Recipe(_together, "dies"), 1)
    with (
        connected(scale) as workers,
        done_by(workers),
        pytest.raises(FunnelError, match="what was done before is kept"),
    ):
        list(each(Recipe(_always_dies), range(1)))


def test_contents_go_by_their_folder_and_those_without_one_are_not_sent(alone: tuple[Path, str]) -> None:
    contents = load_contents(Store(alone[0] / "indexes").path(alone[1]))
    changed = replace(contents, statistics=copy(contents.statistics))
    for wrong, why in ((changed, "statistics is not as"), (replace(contents, loaded=None), "in memory")):
        with pytest.raises(BundleError, match=why):
            Shipment(Recipe(_size, wrong))
    small = replace(contents, weights={"towers": 1.0})
    assert delivered(Shipment(Recipe(_size, small)).text).value.work(2) == (
        2,
        len(contents.catalogue.ids),
        {"towers": 1.0},
    )


def _size(contents: Contents) -> Callable[[int], tuple[int, int, dict[str, float]]]:
    return lambda part: (part, len(contents.catalogue.ids), contents.weights)
