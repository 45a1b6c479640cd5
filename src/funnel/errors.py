"""What can go wrong, as a tree.

FunnelError
├── ConfigError      a config file or an option is wrong
├── DataError        a table is wrong: a missing column, a bad type, nothing in it
├── NotFittedError   something is used before what it needs was made
├── BundleError      a bundle is damaged, of another schema, or from a newer version
├── GateError        a bundle is whole, and not fit to be published
├── DownloadError    a public data set is neither cached nor to be had
└── ServiceError     a service cannot be reached, is too busy, or refuses a key

Every message says what was wrong, where, and what would be right. The command line
prints the message and nothing else; a traceback is a bug of ours.
"""

from __future__ import annotations

from typing import Any


class FunnelError(Exception):
    """Anything that funnel raises on purpose."""


class ConfigError(FunnelError):
    """A config file or an option is wrong."""


class DataError(FunnelError):
    """A table is wrong: a missing column, a bad type, nothing in it."""


class NotFittedError(FunnelError):
    """Something is used before what it needs was made."""


class BundleError(FunnelError):
    """A bundle is damaged, of another schema, or from a newer version."""


class GateError(FunnelError):
    """A bundle is whole, and not fit to be published. verdict: what every gate found."""

    def __init__(self, message: str, verdict: Any) -> None:
        super().__init__(message)
        self.verdict = verdict


class DownloadError(FunnelError):
    """A public data set is neither in the cache nor to be had."""


class ServiceError(FunnelError):
    """A service cannot be reached, is too busy, or refuses a key. status: of HTTP; None where none came."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status
