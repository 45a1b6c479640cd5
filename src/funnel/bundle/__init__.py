"""Ship it: versions on disk, what is inside one, and the one in use."""

from funnel.bundle.manifest import Manifest
from funnel.bundle.store import Draft, Store

__all__ = ["Draft", "Manifest", "Store"]
