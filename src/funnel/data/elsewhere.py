"""Folders of data that are not on this machine: whatever fsspec reaches, such as s3://, gs:// or memory://."""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from funnel.errors import DataError, FunnelError
from funnel.values.urls import without_password


@contextmanager
def fetched(url: str) -> Iterator[Path]:
    """A copy of a folder, or of a file, for as long as it is read; it has the name of the original.

    Names that begin with a dot are left out. Raises: FunnelError naming the extra; DataError where there is
    nothing, or it cannot be read.
    """
    system, root = _opened(url)
    with tempfile.TemporaryDirectory(prefix="funnel-data-") as temporary:
        target = Path(temporary) / (root.rpartition("/")[2] or "data")
        try:
            files = _files(system, root)
            for name in files:
                path = target / name if name else target
                if not path.resolve().is_relative_to(Path(temporary).resolve()):
                    raise DataError(f"{without_password(url)} holds a file outside of itself: {name}")
                path.parent.mkdir(parents=True, exist_ok=True)
                system.get_file(f"{root}/{name}" if name else root, str(path))
        except FunnelError:
            raise
        except Exception as error:  # each file system has its own
            raise DataError(f"{without_password(url)} cannot be read: {error!r}") from error
        if not files:
            raise DataError(f"{without_password(url)} holds no files: a folder of data is expected there")
        yield target


def stamps(url: str) -> dict[str, list[int]]:
    """[size, a number for its version] of every file, by its path below the URL: another number is another
    file.

    Raises: as `fetched`.
    """
    system, root = _opened(url)
    try:
        return {name: _stamp(info) for name, info in sorted(_files(system, root).items())}
    except Exception as error:  # each file system has its own
        raise DataError(f"{without_password(url)} cannot be read: {error!r}") from error


def _opened(url: str) -> tuple[Any, str]:
    try:
        from fsspec.core import url_to_fs
    except ModuleNotFoundError as missing:
        raise FunnelError('other file systems need fsspec: pip install "funnel-rank[remote]"') from missing
    try:
        system, root = url_to_fs(url)
    except Exception as error:  # an unknown protocol, or a driver that is not installed
        raise DataError(f"{without_password(url)} cannot be opened: {error}") from error
    system.invalidate_cache()  # what others wrote since
    return system, str(root).rstrip("/")


def _files(system: Any, root: str) -> dict[str, dict[str, Any]]:
    """What is known of each file, by its path below the root; "" where that is one itself."""
    files = system.find(root, detail=True)
    names = {path: path.removeprefix(root).lstrip("/") for path in files}
    return {
        name: files[path]
        for path, name in names.items()
        if not any(part.startswith(".") for part in name.split("/"))
    }


def _stamp(info: dict[str, Any]) -> list[int]:
    """By whatever the file system says of a version."""
    versions = [
        info.get(key) for key in ("ETag", "etag", "md5Hash", "mtime", "LastModified", "created", "updated")
    ]
    return [int(info.get("size") or 0), zlib.crc32(repr(versions).encode())]
