"""API keys with roles, kept in a file as salted hashes.

A key is `fk_ID_SECRET`: the id names it in the file, and the secret has 256 bits of chance. Nobody can try
that many, so one SHA-256 is enough: a slow hash protects what people choose, and would only let strangers
keep a service busy. The salt keeps equal keys from being recognised. Ids are no secret; for one that is not
there a hash is compared all the same, so that the time tells nothing.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import logging
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from stat import S_IMODE
from time import monotonic
from typing import NamedTuple

from pydantic import Field, ValidationError

from funnel.artifacts.writing import changing, whole_file
from funnel.errors import ConfigError
from funnel.service.admission import Role
from funnel.settings import Settings
from funnel.values.shown import shown

log = logging.getLogger(__name__)


#: What each may do, the least first: each also may what those before it do.
ROLES: tuple[Role, ...] = ("read", "write", "admin")

#: Bytes of a file of keys, at most: some ten thousand of them.
_MOST = 4_000_000

_PREFIX = "fk"


class ApiKey(Settings):
    """One key. sha256: of salt and key. created: UTC, ISO 8601."""

    id: str = Field(pattern=r"^[0-9a-f]{12}$")
    name: str = Field(min_length=1, max_length=100)
    role: Role
    salt: str = Field(pattern=r"^[0-9a-f]{32}$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    created: str

    def is_of(self, token: str) -> bool:
        """Whether this is the key, compared in constant time."""
        return hmac.compare_digest(_hash(self.salt, token), self.sha256)


class _File(Settings):
    """What the file holds."""

    keys: tuple[ApiKey, ...]


#: What is compared where an id is not there; no text has this hash.
_NOBODY = ApiKey(id="0" * 12, name="nobody", role="read", salt="0" * 32, sha256="0" * 64, created="")


class Identity(NamedTuple):
    """Who a key is of."""

    role: Role
    name: str


class Keys:
    """The keys of a file, which is read again when it has changed; every so many seconds that is looked at.

    A file that is damaged, gone, or may be written by everybody lets nobody in until it is well again.

    Raises: ConfigError naming what is wrong with it, at the start.
    """

    def __init__(self, path: Path, every: float = 1.0) -> None:
        self._path, self._every = path, every
        self._seen = _stamp(path)
        self._keys: dict[str, ApiKey] | None = {key.id: key for key in read(path)}
        self._next = monotonic() + every

    @property
    def usable(self) -> bool:
        """Whether the file can be read now."""
        self._look()
        return self._keys is not None

    def identity(self, token: str) -> Identity | None:
        """Who a key is of; None where it is none, or the file cannot be read."""
        self._look()
        key_id = token[len(_PREFIX) + 1 : len(_PREFIX) + 13]
        key = (self._keys or {}).get(key_id)
        right = (key or _NOBODY).is_of(token)
        return Identity(key.role, key.name) if key is not None and right else None

    def _look(self) -> None:
        """Read the file again where it has changed."""
        now = monotonic()
        if now < self._next:
            return
        self._next = now + self._every
        stamp = _stamp(self._path)
        if stamp == self._seen and stamp is not None and self._keys is not None:
            return  # one that could not be read may be readable now, whatever it looks like from outside
        try:
            self._keys = {key.id: key for key in read(self._path)}
            log.info("%s: %d keys", self._path.name, len(self._keys))
        except ConfigError as error:
            if self._keys is not None or stamp != self._seen:
                log.error("nobody is let in: %s", error)
            self._keys = None
        self._seen = stamp


def as_role(text: str) -> Role:
    """A role by its name. Raises: ConfigError naming those that there are."""
    for role in ROLES:
        if text == role:
            return role
    raise ConfigError(f"role is {shown(text)}; one of {', '.join(ROLES)} is expected")


def add(path: Path, name: str, role: Role) -> str:
    """Make a key and keep its hash; the key, which is nowhere else.

    Raises: ConfigError for a name that is there, and where the file is damaged or cannot be written.
    """
    with _changed(path) as keys:
        if any(key.name == name for key in keys):
            raise ConfigError(f"{path} has a key {shown(name)}; remove it, or take another name")
        key_id, salt = secrets.token_hex(6), secrets.token_hex(16)
        token = f"{_PREFIX}_{key_id}_{secrets.token_urlsafe(32)}"
        created = datetime.now(UTC).isoformat(timespec="seconds")
        try:
            key = ApiKey(
                id=key_id, name=name, role=role, salt=salt, sha256=_hash(salt, token), created=created
            )
        except ValidationError as error:
            raise ConfigError(f"name is {shown(name)}; 1 to 100 characters are expected") from error
        keys.append(key)
    return token


def remove(path: Path, name: str) -> ApiKey:
    """Take a key out; no service lets it in a second later. name: its name; its id where none has that name.

    Raises: ConfigError naming those that there are, and as `add`.
    """
    with _changed(path) as keys:
        named = [key for key in keys if key.name == name] or [key for key in keys if key.id == name]
        for key in named:
            keys.remove(key)
            return key
        names = ", ".join(key.name for key in keys) or "none"
        raise ConfigError(f"{path} has no key {shown(name)}; it has: {names}")


def read(path: Path) -> tuple[ApiKey, ...]:
    """The keys of a file. Raises: ConfigError saying what is wrong with it."""
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & 0o002:
                raise ConfigError(f"{path} may be written by everybody: chmod o-w {path}")
            raw = file.read(_MOST + 1)
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read ({error.strerror}); `funnel keys add` makes one"
        ) from error
    try:
        keys = _File.model_validate_json(raw if len(raw) <= _MOST else b"").keys
    except ValidationError as error:
        raise ConfigError(
            f"{path} is damaged: it is no file of keys; remove it and make keys anew"
        ) from error
    if len({key.id for key in keys}) < len(keys):
        raise ConfigError(f"{path} is damaged: a key is there twice")
    return keys


def check_address(host: str, *, keys: bool) -> None:
    """Raises: ConfigError where others than this machine would reach a service that asks for no key."""
    if not keys and not is_loopback(host):
        raise ConfigError(
            f"host is {shown(host)}, which others reach, and there are no keys: everybody could read and "
            "change everything. `funnel keys add NAME --role read` makes one, and `--keys FILE` uses it; or "
            "listen on 127.0.0.1"
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


@contextmanager
def _changed(path: Path) -> Iterator[list[ApiKey]]:
    """The keys, which are written when the block ends well; one process at a time. Where the path is a link,
    it stays one: services read the file that it leads to."""
    path = Path(os.path.realpath(path))
    with changing(path), _locked(path.with_name(f"{path.name}.lock")):
        keys = list(read(path)) if path.exists() else []
        yield keys
        with whole_file(path) as hidden:
            hidden.touch(0o600)
            _give(hidden, path)
            with hidden.open("w") as file:
                file.write(_File(keys=tuple(keys)).model_dump_json(indent=1) + "\n")
                file.flush()
                os.fsync(file.fileno())


def _give(hidden: Path, path: Path) -> None:
    """To whoever has the file that it replaces: a service must read what another user, such as root, adds."""
    try:
        state = path.stat()
    except FileNotFoundError:
        hidden.chmod(0o600)
        return
    os.chown(hidden, state.st_uid, state.st_gid)
    hidden.chmod(S_IMODE(state.st_mode))


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _stamp(path: Path) -> tuple[int, int, int, int] | None:
    """Another value whenever the file has changed; None where it is not there."""
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_mtime_ns, state.st_size, state.st_ino, state.st_mode


def _hash(salt: str, token: str) -> str:
    return hashlib.sha256(f"{salt}{token}".encode(errors="surrogatepass")).hexdigest()
