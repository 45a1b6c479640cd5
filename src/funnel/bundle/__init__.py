"""Ship it: versions on disk, what is inside one, and the one in use."""

from funnel.bundle.history import Publication
from funnel.bundle.manifest import Manifest
from funnel.bundle.store import Store
from funnel.bundle.writing import Draft

__all__ = ["Draft", "Manifest", "Publication", "Store"]
