"""A cluster, found fit before work is spent on it: its versions, its room, and the folders that it sees."""

from __future__ import annotations

import importlib
import logging
import os
import socket
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from funnel.artifacts.writing import changing
from funnel.errors import ConfigError, FunnelError
from funnel.recipes import Workers, done_by
from funnel.scale.config import ScaleConfig
from funnel.scale.location import File, Location
from funnel.scale.storage import Storage, looked, sent_mark, stored
from funnel.scale.versions import SAME, TRAINING, about_process, check_same
from funnel.scale.workers import RayWorkers

log = logging.getLogger(__name__)

#: Seconds after which a mark is one that a killed command left.
_LEFT = 3600


@contextmanager
def connected(config: ScaleConfig, folders: Sequence[Path] = ()) -> Iterator[Workers]:
    """Workers of a cluster for the block. folders: the stores, which every machine of it must see under the
    same name, or none where files go through `config.storage`.

    A process has one connection to a cluster: one that it has already is used where the address is `auto` or
    that cluster's, and is left as it was.

    Raises: FunnelError naming the extra where Ray is not installed; ConfigError where nobody answers at the
    address, this process is part of another cluster, a machine has other versions, or does not see a folder
    or the storage.
    """
    with stored(config, folders) if config.storage else nullcontext() as storage, _part_of(config) as ray:
        count = config.workers or int(ray.cluster_resources().get("CPU", 0))
        if count < 1:
            raise ConfigError(
                f"the cluster at {config.address} has no processors to give; start a worker there"
            )
        _check(ray, config, [] if storage else [folder.absolute() for folder in folders], storage)
        log.info("%d workers on %d machines at %s", count, len(_alive(ray)), config.address)
        yield RayWorkers(ray, count, config.seconds, storage)


@contextmanager
def cluster(
    address: str, folders: Sequence[Path] = (), *, workers: int = 0, storage: str = ""
) -> Iterator[None]:
    """What is built, evaluated or judged in the block is worked on by a cluster.

        with funnel.cluster("local", [Path("indexes"), Path("embeddings")]):
            built = funnel.build(prepared, towers, funnel.Store("indexes"))

    address: `local`, `auto`, `host:port` or `ray://host:port`. folders: the stores, which every machine must
    see under the same name, or none where files go through a storage. workers: tasks at a time; 0: as many
    as there are cores. storage: a URL of fsspec.
    Raises: see `connected`; ConfigError for what is no address, or no URL.
    """
    config = ScaleConfig(workers=workers).at(address, storage)
    with connected(config, folders) as others, done_by(others):
        yield


@contextmanager
def _part_of(config: ScaleConfig) -> Iterator[Any]:
    """Ray, in which this process is part of the cluster for the block."""
    ray = _ray()
    if there := ray.is_initialized():
        _check_address(ray, config.address)
    else:
        _connect(ray, config)
    try:
        yield ray
    finally:
        if not there:
            ray.shutdown()


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anybody
    try:
        return importlib.import_module("ray")
    except ModuleNotFoundError as missing:
        raise FunnelError('a cluster needs Ray: pip install "funnel-rank[scale]"') from missing


def _connect(ray: Any, config: ScaleConfig) -> None:
    _knock(config)
    options: dict[str, Any] = {"log_to_driver": True, "logging_level": logging.WARNING}
    if config.address == "local":
        options |= {"num_cpus": config.workers or None, "include_dashboard": False}
    try:
        ray.init(address=config.address, configure_logging=False, **options)
    except (ConnectionError, TimeoutError, RuntimeError, ValueError) as error:
        raise _nobody(config.address, str(error).strip().splitlines()[0]) from error


def _check_address(ray: Any, address: str) -> None:
    """Raises: ConfigError where this process is part of another cluster."""
    mine = "" if address.startswith("ray://") else str(ray.get_runtime_context().gcs_address)
    if address not in ("auto", mine):
        raise ConfigError(
            f"this process is part of a cluster already ({mine or 'as a client'}), and can be of one alone: "
            f"give the address `auto` for that one, or call ray.shutdown() before {address!r}"
        )


def _nobody(address: str, reason: object) -> ConfigError:
    return ConfigError(
        f"nobody answers as a cluster at {address!r} ({reason}); `ray start --head` starts one, and `local` "
        "needs none; one that asks for a token is given that of ~/.ray/auth_token or RAY_AUTH_TOKEN where "
        "RAY_AUTH_MODE=token is set"
    )


def _knock(config: ScaleConfig) -> None:
    """Raises: ConfigError where no machine has that name, or listens there: Ray itself tries for minutes."""
    host, colon, port = config.address.removeprefix("ray://").rpartition(":")
    if not colon:
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=config.seconds).close()
    except (OSError, OverflowError) as error:
        raise _nobody(config.address, getattr(error, "strerror", None) or error) from error


def _alive(ray: Any) -> list[dict[str, Any]]:
    return [node for node in ray.nodes() if node["Alive"]]


def _check(ray: Any, config: ScaleConfig, folders: Sequence[Path], storage: Storage | None) -> None:
    """Ask every machine once. Raises: ConfigError naming it."""
    here, marks = about_process(), [_mark(folder) for folder in folders]
    sent = None if storage is None else (storage.location, sent_mark(storage))
    try:
        for node in _alive(ray):
            where = node["NodeManagerHostname"]
            question = [str(mark) for mark in marks], sent
            answer = _look_at(ray, node["NodeID"], where, question, config.seconds)
            if answer is None:
                continue
            about, missing, wrong = answer
            trains = max(config.item_shards, config.list_shards) > 1
            check_same(where, about, here, (*SAME, *TRAINING) if trains else SAME)
            if missing:
                raise ConfigError(
                    f"{where} does not see {Path(missing[0]).parent}: put it on storage that all machines of "
                    "the cluster have under the same name, or name one that they all reach as scale.storage"
                )
            if wrong:
                raise ConfigError(
                    f"{where} cannot use scale.storage: {wrong}; every machine must reach it under that URL, "
                    "with a driver of its own and what it asks for"
                )
    finally:
        for mark in marks:
            mark.unlink(missing_ok=True)


#: What a machine is asked for: files that it may see, and one that is in the storage. And what it answers:
#: what it says of itself, which files it does not see, and what is wrong with the storage.
_Question = tuple[list[str], tuple[Location, File] | None]
_Answer = tuple[dict[str, Any], list[str], str]


def _look_at(ray: Any, node: str, where: str, question: _Question, seconds: float) -> _Answer | None:
    """What a machine says of itself, and what it does not see; None where it has left meanwhile."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    on = NodeAffinitySchedulingStrategy(node, soft=False)
    task = ray.remote(num_cpus=0, max_retries=1, scheduling_strategy=on)(_about_machine)
    try:
        answer: _Answer = ray.get(task.remote(*question), timeout=seconds)
        return answer
    except ray.exceptions.TaskUnschedulableError:
        return None
    except ray.exceptions.RayTaskError as error:
        wrong = f"{where} cannot run funnel: {error.cause!r}; install the same version there"
        raise ConfigError(wrong) from error
    except ray.exceptions.RayError as error:  # also one that takes too long
        reason = str(error).strip().splitlines()[0]
        raise ConfigError(f"{where} does not answer ({type(error).__name__}: {reason})") from error


def _about_machine(marks: list[str], sent: tuple[Location, File] | None) -> _Answer:
    """On a worker."""
    missing = [mark for mark in marks if not Path(mark).exists()]
    return about_process(), missing, "" if sent is None else looked(*sent)


def _mark(folder: Path) -> Path:
    """A file of no content, that another machine sees or does not. What a killed command left goes."""
    with changing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f".seen-{uuid.uuid4().hex}"
        path.touch()
        now = path.stat().st_mtime
        for other in folder.glob(".seen-*"):
            with suppress(FileNotFoundError):
                if now - other.stat().st_mtime > _LEFT:
                    other.unlink()
    return path
