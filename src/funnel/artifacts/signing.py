"""Signatures of versions (ed25519): who may make what is served.

What is signed is the digest of the manifest, which has the hash of every file, so that one signature is of
all of them, and of nothing else: a file that the manifest does not name is an error. Signatures lie beside
the manifest and change no fingerprint. Private keys are files of the machine that builds; public ones are
text, such as "ed25519:3b6a...", for `[store] trust`.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from funnel.artifacts.manifest import SIGNATURES, Manifest
from funnel.errors import BundleError, ConfigError, FunnelError
from funnel.settings import Settings
from funnel.values.shown import shown

_KIND = "ed25519:"

#: In front of what is signed, so that no signature of something else is one of a version.
_DOMAIN = b"funnel bundle, signature 1\n"

#: Bytes of a file of signatures, and how many it has, at most.
_MOST, _MOST_SIGNATURES = 100_000, 100


class Signature(Settings):
    """One signature. key: the public key. signature: in base64."""

    key: str
    signature: str


class SignatureFile(Settings):
    """What the file holds."""

    signatures: tuple[Signature, ...] = Field(max_length=_MOST_SIGNATURES)


class Trust:
    """Public keys, one of which must have signed a version.

    Raises: ConfigError for what is no key; FunnelError naming the extra where it is not installed.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        self.keys = {key: _public(key) for key in map(checked, keys)}

    def check(self, folder: Path, manifest: Manifest) -> None:
        """Raises: BundleError unless a known key signed this manifest, saying what to do."""
        given = read(folder)
        for signature in given:
            if signature.key in self.keys and _is_right(self.keys[signature.key], signature, manifest):
                return
        version = manifest.version
        if not given:
            raise BundleError(
                f"bundle {version} is not signed, and this store takes what a known key signed: "
                f"`funnel sign {version} --key FILE` on the machine that built it, and copy it again"
            )
        signers = ", ".join(signature.key for signature in given[:5])
        raise BundleError(
            f"bundle {version} is signed by no key that is trusted here, or was changed since; it names "
            f"{signers}. Where you know that key, add it to `trust` of [store]; else do not serve it"
        )


def generate(path: Path) -> str:
    """Write a new private key to a file that only its owner reads; the public key.

    Raises: ConfigError where there is a file, or none can be written; FunnelError naming the extra.
    """
    private = _library().Ed25519PrivateKey.generate()
    content = base64.b64encode(private.private_bytes_raw()) + b"\n"
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise ConfigError(f"{path}: no key can be written there ({error.strerror})") from error
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        os.fsync(handle)
    return _written(private.public_key())


def public(key: Path) -> str:
    """The public key of the file of a private one. Raises: ConfigError where it is none."""
    return _written(_private(key).public_key())


def signed(folder: Path, manifest: Manifest, key: Path) -> list[Signature]:
    """The signatures of a version and one more, the last. key: the file of a private key.

    Raises: ConfigError where it is none; BundleError where those that there are cannot be read.
    """
    private = _private(key)
    public = _written(private.public_key())
    raw = base64.b64encode(private.sign(_message(manifest))).decode()
    others = [signature for signature in read(folder) if signature.key != public]
    return [*others, Signature(key=public, signature=raw)]


def read(folder: Path) -> list[Signature]:
    """The signatures of a version; none where there is no file. Raises: BundleError where it is damaged."""
    path = folder / SIGNATURES
    try:
        with path.open("rb") as file:
            raw = file.read(_MOST + 1)
        return list(SignatureFile.model_validate_json(raw if len(raw) <= _MOST else b"").signatures)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise BundleError(f"{path} cannot be read ({error.strerror})") from error
    except ValidationError as error:
        raise BundleError(f"{path} is damaged: sign the version again, or copy it again") from error


def united(given: list[Signature], there: list[Signature]) -> list[Signature]:
    """Those of two copies of a version, as many as a file has; of one key the first's."""
    known = {signature.key for signature in given}
    return [*given, *(signature for signature in there if signature.key not in known)][:_MOST_SIGNATURES]


def as_text(signatures: list[Signature]) -> str:
    """What the file holds."""
    return SignatureFile(signatures=tuple(signatures)).model_dump_json(indent=1) + "\n"


def checked(key: str) -> str:
    """A public key in writing. Raises: ConfigError for what is none."""
    try:
        right = key.startswith(_KIND) and len(base64.b64decode(key[len(_KIND) :], validate=True)) == 32
    except (binascii.Error, ValueError, AttributeError):
        right = False
    if not right:
        raise ConfigError(
            f"trust names {shown(key)}; a public key is expected, as `funnel sign --new` prints it"
        )
    return key


def _public(key: str) -> Any:
    return _library().Ed25519PublicKey.from_public_bytes(base64.b64decode(key[len(_KIND) :]))


def _private(path: Path) -> Any:
    try:
        raw = base64.b64decode(path.read_bytes().strip(), validate=True)
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read ({error.strerror}); `funnel sign --new` makes a key"
        ) from error
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != 32:
        raise ConfigError(f"{path} is no private key; `funnel sign --new` makes one")
    return _library().Ed25519PrivateKey.from_private_bytes(raw)


def _written(public: Any) -> str:
    return _KIND + base64.b64encode(public.public_bytes_raw()).decode()


def _message(manifest: Manifest) -> bytes:
    return _DOMAIN + f"{manifest.version}\n{manifest.summed()}\n".encode()


def _is_right(public: Any, signature: Signature, manifest: Manifest) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        public.verify(base64.b64decode(signature.signature, validate=True), _message(manifest))
    except (InvalidSignature, ValueError):  # what is no base64 is a ValueError, too
        return False
    return True


def _library() -> Any:
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ModuleNotFoundError as missing:
        raise FunnelError('signatures need cryptography: pip install "funnel-rank[sign]"') from missing
    return ed25519
