"""What it does to the catalogue: does everyone get the same, is it all hits, what is out of reach."""

from __future__ import annotations

import numpy as np

from funnel.bundle.contents import Contents
from funnel.evaluation.catalogue import coverage, popularity_bias
from funnel.gates.config import GatesConfig
from funnel.gates.figures import Figures
from funnel.gates.findings import Finding, at_least, at_most
from funnel.types import Int64


def concentration(figures: Figures, config: GatesConfig) -> Finding:
    """The share of all positions that the k most shown items take, beyond an even share: 1 when
    all requests get one list.
    """
    top = np.sort(figures.shown)[-figures.k :].sum() / max(figures.shown.sum(), 1)
    even = min(1.0, figures.k / len(figures.shown))
    beyond = (top - even) / (1 - even) if even < 1 else 0.0
    what = f"share of positions that the {figures.k} most shown items take"
    return at_most("concentration", float(beyond), config.concentration, what)


def popularity(
    new: Figures, old: Figures, contents: Contents, published: Contents, config: GatesConfig
) -> Finding:
    """How much more popular the shown items are; each bundle's by the events that it knows."""
    after, before = (
        popularity_bias(figures.shown, _counts(of)).percentile
        for figures, of in ((new, contents), (old, published))
    )
    what = f"mean percentile of the shown items' popularity, {before:.3f} to {after:.3f}, a rise of"
    return at_most("popularity", after - before, config.popularity_rise, what)


def reach(new: Figures, old: Figures | None, requests: int, config: GatesConfig) -> list[Finding]:
    """The share of the catalogue that comes onto a shortlist, of what so many shortlists could hold."""
    after = _reached(new, requests)
    findings = [at_least("reach", after, config.reachable, "share of the catalogue on a shortlist")]
    if old is not None:
        before = _reached(old, requests)
        fall = max(0.0, 1 - after / before) if before > 0 else 0.0
        what = f"share of the catalogue on a shortlist, {before:.3f} to {after:.3f}, a fall of"
        findings.append(at_most("reach", fall, config.reachable_fall, what))
    return findings


def _reached(figures: Figures, requests: int) -> float:
    possible = min(1.0, requests * figures.width / max(len(figures.shortlisted), 1))
    return coverage(figures.shortlisted) / possible if possible > 0 else 0.0


def _counts(contents: Contents) -> Int64:
    return np.bincount(contents.users.history.values, minlength=len(contents.catalogue.ids))
