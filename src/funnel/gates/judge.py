"""All gates, in the order in which a fault comes in: tables, towers, index, quality, catalogue, serving."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from funnel.bundle import Manifest, Store
from funnel.bundle.contents import Contents, load_contents
from funnel.bundle.holdout import HOLDOUT, Holdout, known_to, translate
from funnel.bundle.schemas import load_schema
from funnel.data import Schema
from funnel.errors import BundleError
from funnel.gates import catalogue, quality, serving, tables, vectors
from funnel.gates.config import GatesConfig
from funnel.gates.figures import Figures, measure, popular
from funnel.gates.findings import Finding, Verdict
from funnel.gates.parts import parts
from funnel.gates.tables import Arrived

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Judged:
    """A bundle, loaded with what it is judged on."""

    manifest: Manifest
    contents: Contents
    schema: Schema
    holdout: Holdout

    @classmethod
    def load(cls, store: Store, version: str) -> Judged:
        """Verified first. Raises: BundleError when it is damaged or has no holdout."""
        manifest = store.verify(version)
        folder: Path = store.path(version)
        contents = load_contents(folder, manifest.towers_fingerprint)
        return cls(manifest, contents, load_schema(folder), Holdout.load(folder / HOLDOUT, contents))

    @property
    def seed(self) -> int:
        """Of everything that is drawn while it is judged."""
        return self.manifest.seed


def thresholds(manifest: Manifest) -> GatesConfig:
    """Those of the config that the bundle was built with."""
    return GatesConfig.model_validate(manifest.config.get("gates", {}))


def judge(store: Store, version: str, config: GatesConfig | None = None) -> Verdict:
    """Hold a bundle against every gate, beside the published bundle where there is another one.

    config: the thresholds; default those that the bundle was built with.
    Raises: BundleError when the bundle is damaged or has no holdout.
    """
    new = Judged.load(store, version)
    config = config or thresholds(new.manifest)
    served = store.published()
    published = None if served == new.manifest.version else _published(store, served)
    figures = measure(new.contents, new.holdout.examples, new.contents.rerank.k)
    requests = new.holdout.examples.requests
    found: list[Finding] = []
    if published is not None:
        found += tables.arrived(
            Arrived.of(new.contents, new.schema), Arrived.of(published.contents, published.schema), config
        )
    found += vectors.health(new.contents, config, new.seed)
    found.append(vectors.search(new.contents, requests, config, new.seed))
    found += _compared(new, figures, published, config)
    found.append(catalogue.concentration(figures, config))
    found += serving.parity(new.contents, new.holdout, config, new.seed)
    found.append(serving.latency(new.contents, requests, config, new.seed))
    return Verdict(
        version=new.manifest.version,
        served=served,
        beside=None if published is None else served,
        figures=figures.means(),
        findings=tuple(found),
    )


def _published(store: Store, version: str | None) -> Judged | None:
    """The bundle that is served now; None where there is none, or one that cannot be judged."""
    try:
        return None if version is None else Judged.load(store, version)
    except BundleError as error:
        log.warning("judged without the published bundle: %s", error)
        return None


def _compared(new: Judged, figures: Figures, published: Judged | None, config: GatesConfig) -> list[Finding]:
    """Quality and reach, beside the published bundle, or beside popularity where there is none."""
    examples, users, k = new.holdout.examples, new.holdout.examples.requests.users, figures.k
    if published is None:
        shown = popular(new.contents, examples, k)
        return [
            quality.beside_popular(figures.final, shown, users, config, new.seed),
            *catalogue.reach(figures, None, len(examples), config),
        ]
    old = measure(published.contents, translate(examples, new.contents, published.contents), k)
    divided = parts(new.contents, new.schema, examples)
    return [
        *quality.stages(figures, old, users, config, new.seed, "its holdout"),
        *_on_published(new, published, k, config),
        *quality.slices(figures.final, old.final, divided, users, config, new.seed),
        catalogue.popularity(figures, old, new.contents, published.contents, config),
        *catalogue.reach(figures, old, len(examples), config),
    ]


def _on_published(new: Judged, published: Judged, k: int, config: GatesConfig) -> list[Finding]:
    """The stages on the published bundle's holdout: data that are wrong throughout look right on their own.

    Only targets that the new bundle still has count: that items went is for other gates.
    """
    examples = known_to(published.holdout.examples, published.contents, new.contents)
    if len(examples) == 0:
        return []
    after = measure(new.contents, translate(examples, published.contents, new.contents), k)
    before = measure(published.contents, examples, k)
    users = examples.requests.users
    return quality.stages(after, before, users, config, new.seed, "the published holdout")
