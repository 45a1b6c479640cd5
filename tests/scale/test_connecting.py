"""Becoming part of a cluster: what does not fit is named before any work, and nothing is left behind."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from funnel import cluster as in_cluster
from funnel.errors import ConfigError, FunnelError
from funnel.recipes import Recipe, each
from funnel.scale import ScaleConfig, connected, connecting
from funnel.scale.versions import about_process, check_same

pytest.importorskip("ray")

import ray

from .clusters import made_of


@pytest.fixture(scope="module")
def scale() -> Iterator[ScaleConfig]:
    with made_of(1) as cluster:
        yield ScaleConfig(address=cluster.address, seconds=300)


def test_a_cluster_that_does_not_fit_is_named_before_any_work(
    scale: ScaleConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(connecting, "about_process", lambda: about_process() | {"funnel-rank": "0.0.1"})
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


def test_marks_of_killed_commands_go_and_those_of_running_ones_stay(
    scale: ScaleConfig, tmp_path: Path
) -> None:
    left, now = tmp_path / ".seen-a", tmp_path / ".seen-b"
    left.touch()
    now.touch()
    os.utime(left, (now.stat().st_mtime - 4000,) * 2)
    with connected(scale, [tmp_path]):
        pass
    assert list(tmp_path.iterdir()) == [now]


def test_a_machine_with_another_torch_or_none_is_named_where_items_are_in_shards(
    scale: ScaleConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = {"python": "3.12", "funnel-rank": "1", "torch": "2.13"}
    for there, why in ((None, "node has no torch, this machine 2.13"), ("2.6", "node has torch 2.6")):
        with pytest.raises(ConfigError, match=why):
            check_same("node", {**here, "torch": there}, here, ("torch",))
    monkeypatch.setattr(connecting, "about_process", lambda: about_process() | {"torch": "0.1"})
    sharded = scale.model_copy(update={"item_shards": 2})
    with pytest.raises(ConfigError, match=r"has torch .* this machine 0\.1"), connected(sharded):
        pass


def test_a_process_that_is_part_of_a_cluster_uses_that_and_no_other(scale: ScaleConfig) -> None:
    ray.init(address=scale.address, logging_level="WARNING")
    try:
        for address in ("local", "127.0.0.1:1", "ray://127.0.0.1:1"):
            with (
                pytest.raises(ConfigError, match=r"part of a cluster already .* call ray\.shutdown"),
                connected(scale.at(address)),
            ):
                pass
        for address in ("auto", scale.address):
            with in_cluster(address):
                assert list(each(Recipe(_squares), range(3))) == [0, 1, 4]
            assert ray.is_initialized()  # it is not ours to end
    finally:
        ray.shutdown()


def _squares() -> Callable[[int], int]:
    return lambda part: part * part


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
        "assert not {'ray', 'fsspec'} & {*sys.modules}"
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
