"""Versioned folders on disk: each is there as a whole or not at all. Stores, publications, remote copies."""

from funnel.artifacts.history import Publication
from funnel.artifacts.manifest import Manifest
from funnel.artifacts.store import Store
from funnel.artifacts.writing import Draft

__all__ = ["Draft", "Manifest", "Publication", "Store"]
