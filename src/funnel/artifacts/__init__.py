"""Folders on disk that are whole or not there: versions in a store, what was published, copies elsewhere."""

from funnel.artifacts.history import Publication
from funnel.artifacts.manifest import Manifest
from funnel.artifacts.store import Store
from funnel.artifacts.writing import Draft

__all__ = ["Draft", "Manifest", "Publication", "Store"]
