"""Is an experiment running whose control the new bundle would change midway."""

from __future__ import annotations

from funnel.artifacts import Store
from funnel.errors import BundleError
from funnel.experiments.running import running
from funnel.gates.findings import Finding, could_not_look

#: What findings of experiments are called.
GATE = "experiments"


def held(store: Store, version: str, *, won: str | None = None) -> list[Finding]:
    """A finding that fails for each running experiment whose arms are bundles, and where it cannot be told
    what runs; none where the version is published already.

    won: an experiment that is left out, since its winner is what is published.
    """
    if store.published() == version:
        return []
    try:
        now = running(store.folder).experiments
    except BundleError as error:
        return [could_not_look(GATE, str(error))]
    deciding = [name for name, each in now.items() if "bundle" in each.config.changes and name != won]
    return [_finding(name) for name in deciding]


def _finding(name: str) -> Finding:
    sentence = (
        f"the experiment {name!r} runs on bundles: publishing another would change its control midway; "
        f"`funnel experiment {name} --ship` publishes a winner, and --stop ends it. With `force` it "
        "is published all the same"
    )
    return Finding(gate=GATE, passed=False, value=1, limit=0, sentence=sentence)
