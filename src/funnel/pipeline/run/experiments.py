"""What the nightly run does with experiments whose arms are bundles, before it publishes another one."""

from __future__ import annotations

from functools import partial

from funnel.artifacts import Store
from funnel.config import Config
from funnel.errors import BundleError
from funnel.experiments.running import running, stop
from funnel.gates import Finding
from funnel.gates.findings import could_not_look
from funnel.gates.winner import GATE, publish_winner
from funnel.serving.evidence import judged


def settle(store: Store, config: Config) -> list[Finding]:
    """A finding each running experiment that decides on the bundle.

    One that is to stop is ended, and passes. A winner is published, through the gates, and tonight's bundle
    is held, so that what won is served. One that goes on holds it too: publishing would change its control.
    """
    try:
        now = running(store.folder).experiments
    except BundleError as error:
        return [could_not_look(GATE, str(error))]
    return [_settled(store, name, config) for name, each in now.items() if "bundle" in each.config.changes]


def _settled(store: Store, name: str, config: Config) -> Finding:
    try:
        judgement = judged(store.folder, name, state=config.serve.state or None)
        finding = partial(Finding, gate=GATE, value=judgement.days, limit=judgement.horizon)
        days = f"{judgement.days} of {judgement.horizon} days"
        if judgement.decision == "stop":
            stop(store, name, " ".join(judgement.reasons))
            return finding(passed=True, sentence=f"the experiment {name!r} has ended after {days}")
        if judgement.decision == "ship":
            version = publish_winner(store, judgement, config=config.gates)
            won = f"the experiment {name!r} has a winner after {days}: {version} was published"
            return finding(passed=False, sentence=won)
        goes_on = f"the experiment {name!r} goes on, {days}: publishing would change its control midway"
        return finding(passed=False, sentence=goes_on)
    except Exception as error:  # a log that cannot be read must let no bundle through
        return could_not_look(GATE, f"the experiment {name!r} could not be settled: {error}")
