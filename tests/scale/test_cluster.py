"""The same steps on a cluster of two machines, made on this one: what comes out, and what a loss costs."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from funnel import Live
from funnel import cluster as in_cluster
from funnel.artifacts import Store
from funnel.bundle.contents import Contents, load_contents
from funnel.config import Config
from funnel.errors import BundleError, ConfigError, DataError, FunnelError
from funnel.evaluation.chunks import Recipe, done_by, each
from funnel.pipeline import run as pipeline
from funnel.scale import ScaleConfig, connected, connecting
from funnel.scale.shipping import packed, unpacked
from funnel.serving.batch import recommend_all

from ..processes import funnel
from ..tiny import movie_config, write_movies

pytest.importorskip("ray")

from ray.cluster_utils import Cluster

STORE = 100 * 2**20  # bytes of each machine's memory for results


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    made = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 1, "object_store_memory": STORE, "include_dashboard": False},
    )
    made.add_node(num_cpus=1, object_store_memory=STORE)
    yield made
    made.shutdown()


@pytest.fixture(scope="module")
def scale(cluster: Cluster) -> ScaleConfig:
    return ScaleConfig(address=cluster.address)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    folder = tmp_path_factory.mktemp("data")
    write_movies(folder, users=60, movies=120, seed=3)
    gates = {"holdout": 200, "latency_ms": 10_000.0, "visible_fall": 0.5, "baseline_fall": 1.0}
    return movie_config(folder, towers={"d": 8, "layers": 1, "heads": 1, "epochs": 2}, gates=gates)


@pytest.fixture(scope="module")
def alone(config: Config, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The store of a run in this process alone, and its bundle."""
    where = tmp_path_factory.mktemp("alone")
    outcome = pipeline.run(config, Store(where / "indexes"), Store(where / "embeddings"))
    return where, outcome.version


def test_a_run_on_two_machines_makes_the_bundle_of_a_run_on_none(
    config: Config, alone: tuple[Path, str], scale: ScaleConfig, tmp_path: Path
) -> None:
    where, version = alone
    indexes, embeddings = Store(tmp_path / "indexes"), Store(tmp_path / "embeddings")
    with in_cluster(scale.address, [indexes.folder, embeddings.folder]):
        outcome = pipeline.run(config, indexes, embeddings)
    assert outcome.version == version
    here, there = (Store(path / "indexes").path(version) for path in (where, tmp_path))
    for name in ("ranker/model.txt", "serve.json", "statistics/events.npy"):
        if (here / name).exists():
            assert (here / name).read_bytes() == (there / name).read_bytes(), name
    seen = {line.step: line.facts.get("metrics") for line in outcome.lines}
    assert seen["evaluate"]


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


@pytest.mark.long  # a killed worker, and what goes wrong in a part, are above
def test_a_part_that_kills_each_worker_ends_with_what_to_do(scale: ScaleConfig) -> None:
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
            packed(Recipe(_size, wrong))
    small = replace(contents, weights={"towers": 1.0})
    assert unpacked(packed(Recipe(_size, small)))(2) == (2, len(contents.catalogue.ids), {"towers": 1.0})


def _size(contents: Contents) -> Callable[[int], tuple[int, int, dict[str, float]]]:
    return lambda part: (part, len(contents.catalogue.ids), contents.weights)


def test_a_cluster_that_does_not_fit_is_named_before_any_work(
    scale: ScaleConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        about = connecting.about_process()
        patch.setattr(connecting, "about_process", lambda: about | {"funnel-rank": "0.0.1"})
        with (
            pytest.raises(ConfigError, match=r"has funnel-rank .* this machine 0\.0\.1"),
            connected(scale),
        ):
            pass
    with monkeypatch.context() as patch:
        mark = connecting._mark

        def unseen(folder: Path) -> Path:
            path = mark(folder)
            path.unlink()
            return path

        patch.setattr(connecting, "_mark", unseen)
        with (
            pytest.raises(ConfigError, match="put it on storage that all machines"),
            connected(scale, [tmp_path]),
        ):
            pass
    assert not list(tmp_path.iterdir())


def test_a_store_that_all_machines_see_keeps_no_trace_of_being_looked_for(
    scale: ScaleConfig, tmp_path: Path
) -> None:
    with connected(scale, [tmp_path / "indexes"]):
        pass
    assert not list((tmp_path / "indexes").iterdir())


@pytest.mark.parametrize("address", ["nowhere", "host:port", "http://host:1", "a b:1"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match="is expected"):
        ScaleConfig().at(address)


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(FunnelError, match=r"funnel-rank\[scale\]"), connected(ScaleConfig(address="local")):
        pass


def test_nothing_of_ray_is_loaded_without_an_address() -> None:
    code = (
        "import sys; from funnel.scale import ScaleConfig; from funnel.cli import running; "
        "assert 'ray' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_address_that_nobody_answers_at_is_told_at_once() -> None:
    """Ray itself tries for minutes."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
    for address in (f"127.0.0.1:{port}", f"ray://127.0.0.1:{port}", "nowhere.invalid:6379"):
        with pytest.raises(ConfigError, match="nobody answers as a cluster"), in_cluster(address):
            pass
