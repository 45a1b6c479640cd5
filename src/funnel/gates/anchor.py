"""A bundle beside the anchor, an older one that stays the same: falls too small to be seen alone add up."""

from __future__ import annotations

from funnel.artifacts import Store
from funnel.bundle.holdout import shared_targets, translate
from funnel.gates import quality
from funnel.gates.config import GatesConfig
from funnel.gates.figures import Figures, measure
from funnel.gates.findings import Finding, could_not_look
from funnel.gates.judged import Judged


def anchored(
    store: Store, new: Judged, figures: Figures, published: Judged | None, config: GatesConfig
) -> list[Finding]:
    """The stages beside the store's anchor; nothing where that is the bundle itself or the published one,
    which the gate `stages` is about, or where nothing was ever published.

    figures: of the new bundle on its holdout.
    """
    version = store.anchor()
    others = {new.manifest.version, None if published is None else published.manifest.version}
    if version is None or version in others:
        return []
    try:
        return _beside(new, figures, Judged.load(store, version, serving=True), config)
    except Exception as error:  # it was made by an earlier funnel: any library may stumble over it
        reason = (
            f"the anchor {version} cannot be compared with ({error}); `funnel anchor VERSION` sets another"
        )
        return [could_not_look("anchor", reason)]


def _beside(new: Judged, figures: Figures, anchor: Judged, config: GatesConfig) -> list[Finding]:
    """Only targets that the anchor has too count: that it is old is no merit of the new one.

    Its own holdout is not used: the new bundle has learned from what happened there.
    """
    examples = shared_targets(new.holdout.examples, new.contents, anchor.contents)
    if len(examples) == 0:
        return [
            could_not_look("anchor", f"no request has a target that the anchor {anchor.manifest.version} has")
        ]
    whole = len(examples.targets.values) == len(new.holdout.examples.targets.values)
    after = figures if whole else measure(new.contents, examples, figures.k)
    before = measure(anchor.contents, translate(examples, new.contents, anchor.contents), figures.k)
    on = f"its holdout, beside the anchor {anchor.manifest.version}"
    return quality.stages(after, before, examples.requests.users, config, new.seed, on, anchor=True)
