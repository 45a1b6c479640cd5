"""Files that go through a storage: machines that see no folder of the command make the same of them."""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import fsspec
import numpy as np
import pytest

from funnel import Live
from funnel.artifacts import Store, drafts
from funnel.config import Config
from funnel.data import Dataset, Schema
from funnel.errors import ConfigError, FunnelError
from funnel.pipeline import prepare, train_towers
from funnel.pipeline import run as pipeline
from funnel.recipes import KeptFiles, Output, Recipe, done_by
from funnel.scale import ScaleConfig, connected
from funnel.scale.location import File, Location
from funnel.scale.shipping import Delivered, Shipment
from funnel.scale.storage import Storage, stored
from funnel.serving.batch import recommend_all

from ..tiny import movie_config, write_movies

pytest.importorskip("ray")

from .clusters import apart
from .test_cluster import Killing, Recorded, write_parts


@pytest.fixture(scope="module")
def where(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a folder of the command, one of each machine's own, and the storage."""
    folder = tmp_path_factory.mktemp("where")
    for name in ("command", "cache", "storage"):
        (folder / name).mkdir()
    return folder


@pytest.fixture(scope="module")
def scale(where: Path) -> Iterator[ScaleConfig]:
    """Two machines that do not see the command's folder."""
    with apart(2, [where / "command", where / "cache"]) as address:
        yield ScaleConfig(
            address=address, seconds=300, storage=f"file://{where}/storage", cache=str(where / "cache")
        )


@pytest.fixture(scope="module")
def config(where: Path) -> Config:
    folder = where / "command" / "data"
    folder.mkdir()
    write_movies(folder, users=60, movies=120, seed=3)
    gates = {"holdout": 200, "latency_ms": 10_000.0, "visible_fall": 0.5, "baseline_fall": 1.0}
    towers = {"d": 8, "layers": 1, "heads": 1, "epochs": 2}
    return movie_config(folder, towers=towers, gates=gates, index={"spec": "IVF4,Flat", "shards": 3})


def left(url: str | Path) -> list[str]:
    """The files of a storage."""
    system, root = fsspec.core.url_to_fs(str(url))
    return sorted(system.find(root)) if system.exists(root) else []


def test_a_run_on_machines_that_see_no_folder_makes_the_bundle_of_a_run_on_none(
    config: Config, where: Path, scale: ScaleConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone, there = where / "command" / "alone", where / "command" / "there"
    version = pipeline.run(config, Store(alone / "indexes"), Store(alone / "embeddings")).version
    there.mkdir()
    monkeypatch.chdir(there)
    indexes, embeddings = Store(Path("indexes")), Store(Path("embeddings"))  # relative, as by default
    with connected(scale, [indexes.folder, embeddings.folder]) as workers:
        recorded = Recorded(workers)
        with done_by(recorded):
            outcome = pipeline.run(config, indexes, embeddings)
            live = Live(indexes)
            assert list(recommend_all(live, "workers.csv"))
    assert outcome.version == version
    assert recorded.given["_filler"] == 2 * 3
    assert recorded.given["_counter"] == 2 * 2
    assert recorded.given["_list_maker"]
    assert left(where / "storage") == []
    assert list(recommend_all(live, "alone.csv"))
    assert Path("workers.csv").read_text() == Path("alone.csv").read_text()
    elsewhere = config.model_copy(update={"scale": scale})
    assert {line.action for line in pipeline.plan(elsewhere, indexes, embeddings)} == {"unchanged"}


def test_towers_and_checkpoints_of_processes_come_through_the_storage(
    config: Config, where: Path, scale: ScaleConfig, tmp_path: Path
) -> None:
    """They are the towers of processes that share a folder, also where one of them is killed."""
    still = {"dropout": 0.0, "id_dropout": 0.0, "loss": "sampled_softmax", "negatives": 24, "epochs": 3}
    towers = config.towers.model_copy(update=still)
    shards = ScaleConfig(item_shards=2)
    prepared = prepare(config.model_copy(update={"towers": towers, "scale": shards}))
    once = replace(prepared.split, test_statistics=prepared.split.train)  # they are trained once
    prepared = replace(prepared, split=once)
    store = where / "command" / "embeddings"
    with connected(scale, [store]) as workers:
        killing = Killing(workers, tmp_path)
        with done_by(killing):
            version = train_towers(prepared, Store(store))
    assert (tmp_path / "dead").exists()
    assert (tmp_path / "epochs-1").read_text().split() == ["0", "1", "2"]  # none was trained again
    assert left(where / "storage") == []
    with connected(scale.model_copy(update={"storage": ""}), [tmp_path]) as workers, done_by(workers):
        assert train_towers(prepared, Store(tmp_path / "embeddings")).name == version.name


def test_a_table_in_parts_is_read_by_workers_that_do_not_see_it(
    where: Path, scale: ScaleConfig, caplog: pytest.LogCaptureFixture
) -> None:
    folder = where / "command" / "tables"
    write_parts(folder)
    alone = Dataset.from_folder(folder, Schema())
    with connected(scale, [where / "command" / "there"]) as workers, done_by(workers):
        data = Dataset.from_folder(folder, Schema())
    assert data.checksum() == alone.checksum()
    assert "does not see" not in caplog.text


def test_a_storage_that_does_not_serve_is_named_before_any_work(
    where: Path, scale: ScaleConfig, tmp_path: Path
) -> None:
    store = where / "command" / "refused"
    refused = pytest.raises(ConfigError, match=r"does not see .*/refused: .* scale\.storage")
    with refused, connected(scale.at(scale.address, ""), [store]):
        pass
    for storage in ("memory://nobody-else", f"file://{where}/command/storage"):
        why = r"cannot use scale\.storage: the storage .* cannot be read on"
        with pytest.raises(ConfigError, match=why), connected(scale.at(scale.address, storage), [store]):
            pass
        assert left(storage) == []
    file = tmp_path / "file"
    file.touch()
    for storage, why in (
        (f"file://{file}", r"scale\.storage cannot be used: .* cannot be written"),
        ("nowhere://a", "cannot be opened"),
    ):
        with pytest.raises(FunnelError, match=why), connected(scale.at(scale.address, storage), [store]):
            pass


@pytest.mark.parametrize(
    ("storage", "why"), [("bucket", "a URL of fsspec is expected"), ("s3://a:secret@b", r"holds a password")]
)
def test_what_is_no_storage_is_refused(storage: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        ScaleConfig().at("local", storage)


@pytest.fixture
def settings(tmp_path: Path) -> ScaleConfig:
    """A storage in the memory of this process, and a cache of one KiB."""
    return ScaleConfig(
        storage=f"memory://{uuid.uuid4().hex}", cache=str(tmp_path / "cache"), cache_gib=2**-20
    )


def _adds(numbers: Path, one: Path, out: Output) -> Callable[[int], float]:
    def work(part: int) -> float:
        (out.folder / "flat.txt").write_text("a step's own folder is locked")
        (out.folder / "deep").mkdir(exist_ok=True)
        (out.folder / "deep" / f"{part}.txt").write_text(str(part) * 9)
        return float(np.load(numbers / "a" / "numbers.npy").sum()) + len(one.read_text()) + part

    return work


def ship(sent: Shipment, part: int) -> float:
    """As a worker does a part, twice."""
    for _ in range(2):
        delivered = Delivered(sent.text)
        result = delivered.value.work(part)
        written = delivered.written()
    sent.take(written)
    return float(result)


def test_folders_go_by_what_they_hold_and_what_is_written_comes_back(
    settings: ScaleConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder, file = Path("numbers"), Path("one.txt")
    (folder / "a").mkdir(parents=True)
    np.save(folder / "a" / "numbers.npy", np.arange(4))
    (folder / ".hidden").touch()
    file.write_text("xyz")
    cache = tmp_path / "cache"
    Path("drafts").mkdir()
    with stored(settings, [tmp_path / "store"]) as storage, drafts.new_folder(Path("drafts")) as out:
        sent = Shipment(Recipe(_adds, folder, file, Output(out)), storage)
        assert ship(sent, 5) == 6 + 3 + 5
        assert (out / "deep" / "5.txt").read_text() == "5" * 9
        assert sorted(path.name for path in out.iterdir()) == ["deep", "flat.txt"]
        puts = left(settings.storage)
        again = Shipment(Recipe(_adds, folder, file, Output(out)), storage)
        assert again.text == sent.text
        delivered = Delivered(sent.text)
        numbers = delivered.value.args[0]
        assert left(numbers) == [str(numbers / "a" / "numbers.npy")]
        written = [(path / "a" / "numbers.npy").stat().st_mtime_ns for path in (numbers, folder)]
        assert written[0] == written[1]
        system, _ = fsspec.core.url_to_fs(settings.storage)
        for path in puts:  # what the machine has had it does not ask for again
            system.rm_file(path)
        assert Delivered(sent.text).value.work(1) == 6 + 3 + 1
        del delivered, numbers
    assert left(settings.storage) == []
    assert not list(cache.glob(".draft-*"))


def test_a_file_that_is_damaged_on_its_way_is_not_used(settings: ScaleConfig, tmp_path: Path) -> None:
    file = tmp_path / "one.txt"
    file.write_text("whole")
    with stored(settings, [tmp_path / "store"]) as storage:
        sent = Shipment(file, storage)
        system, _ = fsspec.core.url_to_fs(settings.storage)
        (path,) = left(settings.storage)
        system.pipe_file(path, b"wrong")
        with pytest.raises(FunnelError, match="is damaged: it does not hold what was put there"):
            Delivered(sent.text)
        system.pipe_file(path, b"who")  # as one that was killed leaves it
        again = Shipment(file, Storage(storage.location))
        assert Delivered(again.text).value.read_text() == "whole"
        system.rm_file(path)
        shutil.rmtree(tmp_path / "cache")
        with pytest.raises(FunnelError, match=r"the storage memory://.* cannot be read on .*FileNotFound"):
            Delivered(sent.text)


def test_one_process_of_a_machine_fetches_a_file_and_the_others_wait(
    settings: ScaleConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, get, fetched = tmp_path / "one.txt", Location.get, []
    file.write_text("whole")

    def slow(location: Location, file: File, target: Path) -> None:
        fetched.append(file.name)
        time.sleep(0.2)
        get(location, file, target)

    monkeypatch.setattr(Location, "get", slow)
    with stored(settings, [tmp_path / "store"]) as storage, ThreadPoolExecutor(4) as pool:
        sent = Shipment(file, storage)
        delivered = list(pool.map(Delivered, [sent.text] * 4))
        assert [each.value.read_text() for each in delivered] == ["whole"] * 4
    assert fetched == ["one.txt"]


def test_a_machine_keeps_what_it_uses_and_the_last_files_up_to_a_bound(
    settings: ScaleConfig, tmp_path: Path
) -> None:
    with stored(settings, [tmp_path / "store"]) as storage:
        held: list[Delivered] = []
        digests = []
        for number in range(5):
            file = tmp_path / f"{number}.bin"
            file.write_bytes(bytes([number]) * 300)
            held = [*held[:1], Delivered(Shipment(file, storage).text)]
            digests.append(File.of(file, "").sha256)
        there = {path.name for path in (tmp_path / "cache").iterdir() if len(path.name) == 64}
        assert there == {digests[0], digests[3], digests[4]}
        assert [delivered.value.read_bytes()[0] for delivered in held] == [0, 4]


def test_what_is_kept_stays_for_the_next_command_as_long_as_its_folder_does(
    settings: ScaleConfig, tmp_path: Path
) -> None:
    store, folder = tmp_path / "store", tmp_path / "store" / "checkpoint"
    for content in ("first", "second"):
        with stored(settings, [store]) as storage:
            delivered = Delivered(Shipment(KeptFiles(folder), storage).text)
            kept = delivered.value
            assert kept.names() == ([] if content == "first" else ["a.npz"])
            if content == "second":
                assert kept.get("a.npz").read_text() == "first"
            for _ in range(2):
                (kept.folder / "a.npz").write_text(content)
                kept.keep("a.npz")
            (kept.folder / "b.npz").write_text("old")
            kept.keep("b.npz")
            kept.remove("b.npz")
            assert kept.get("a.npz").read_text() == content
            with pytest.raises(OSError, match="StopIteration"):
                kept.get("b.npz")
        assert len(left(settings.storage)) == 1
    folder.rmdir()
    with stored(settings.model_copy(update={"storage": f"{settings.storage}/"}), [store]) as storage:
        delivered = Delivered(Shipment(KeptFiles(folder), storage).text)
        (delivered.value.folder / "a.npz").write_text("third")
        delivered.value.keep("a.npz")
        folder.rmdir()  # so that work begins anew
        assert Delivered(Shipment(KeptFiles(folder), storage).text).value.names() == []
        delivered.value.folder.joinpath("a.npz").write_text("fourth")
        delivered.value.keep("a.npz")
    assert len(left(settings.storage)) == 1
    folder.rmdir()
    with stored(settings, [store]):
        assert left(settings.storage) == []


def test_what_a_killed_command_left_goes_and_that_of_others_stays(
    settings: ScaleConfig, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_text("whole")
    with stored(settings, [tmp_path / "store"]) as storage, stored(settings, [tmp_path / "other"]) as other:
        Shipment(file, storage), Shipment(file, other)
        killed = Storage(replace(storage.location, run="killed"))
        Shipment(file, killed)
        assert len(left(settings.storage)) == 3
        shutil.copytree(tmp_path / "store", tmp_path / "copy")
        with stored(settings, [tmp_path / "copy"]):
            assert len(left(settings.storage)) == 3
        with stored(settings, [tmp_path / "store"]):
            assert len(left(settings.storage)) == 2
    assert left(settings.storage) == []
