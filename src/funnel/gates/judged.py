"""A bundle, loaded with what it is judged on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from funnel import plugins
from funnel.artifacts import Manifest, Store
from funnel.bundle.contents import Contents, load_contents
from funnel.bundle.holdout import HOLDOUT, Holdout
from funnel.catalogue.schemas import load_schema
from funnel.data import Schema
from funnel.errors import BundleError
from funnel.gates.config import GatesConfig


@dataclass(frozen=True)
class Judged:
    """A bundle, its schema, and its holdout, which has requests."""

    manifest: Manifest
    contents: Contents
    schema: Schema
    holdout: Holdout

    @classmethod
    def load(cls, store: Store, version: str, *, serving: bool = False) -> Judged:
        """Verified first. serving: only what decides answers; a damaged report does not change them.

        Raises: BundleError when it is damaged or has no holdout.
        """
        manifest = store.verify(version, reports=not serving)
        folder: Path = store.path(version)
        contents = load_contents(folder, manifest.towers_fingerprint)
        holdout = Holdout.load(folder / HOLDOUT, contents)
        if len(holdout.examples) == 0:
            raise BundleError(f"bundle {manifest.version}: its holdout has no request to judge it by")
        return cls(manifest, contents, load_schema(folder), holdout)

    @property
    def seed(self) -> int:
        """Of everything that is drawn while it is judged."""
        return self.manifest.seed

    @property
    def thresholds(self) -> GatesConfig:
        """Those of the config that the bundle was built with. Raises: BundleError when they are none."""
        where = f"the judgement of bundle {self.manifest.version}"
        plugins.require((plugin for plugin in self.manifest.plugins if plugin.kind == "gate"), where)
        try:
            return GatesConfig.model_validate(self.manifest.config.get("gates", {}))
        except ValidationError as error:
            raise BundleError(
                f"bundle {self.manifest.version} was built with thresholds that this funnel does not know "
                f"({error}); give others: --config FILE"
            ) from error
