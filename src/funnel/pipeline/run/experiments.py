"""What the nightly run does with experiments whose arms are bundles, before it publishes another one."""

from __future__ import annotations

from functools import partial
from typing import Any

from funnel.artifacts import Store
from funnel.config import Config
from funnel.errors import BundleError
from funnel.experiments.running import running, stop
from funnel.gates import Finding
from funnel.gates.findings import could_not_look
from funnel.gates.running import GATE
from funnel.gates.winner import publish_winner
from funnel.pipeline.ingest import copied_events
from funnel.serving.evidence import judged
from funnel.serving.state import open_state
from funnel.serving.weights import update_weights


def settle(store: Store, config: Config) -> list[Finding]:
    """A finding each running experiment that decides on the bundle.

    Shares that move are moved. One that is to stop is ended, and passes. A winner is published, through the
    gates, and tonight's bundle is held, so that what won is served. One that goes on holds it too: publishing
    would change its control.
    """
    try:
        now = running(store.folder).experiments
    except BundleError as error:
        return [could_not_look(GATE, str(error))]
    settled = [_settled(store, name, config) for name, each in now.items() if "bundle" in each.config.changes]
    moving = [name for name, each in now.items() if each.config.weights == "thompson"]
    return [*settled, *(_moved(store, name, config) for name in moving if _runs(store, name))]


def _runs(store: Store, name: str) -> bool:
    """Whether it was not ended just now."""
    return name in running(store.folder).experiments


def _observed(store: Store, name: str, config: Config) -> dict[str, Any]:
    """Where events are, of all periods: in the state, and where they were copied before they went from it."""
    state = open_state(config.serve.state or store.folder / "live" / "state.sqlite")
    events = copied_events(config, state, running(store.folder).experiments[name].at)
    return {"state": state, "events": events}


def _moved(store: Store, name: str, config: Config) -> Finding:
    """Shares that move are moved once a night. Passes: what could not be moved stays as it is, and so does
    what the shares say of chance."""
    try:
        started = update_weights(store, name, **_observed(store, name, config))
        shares = ", ".join(f"{arm} {share:.3g}" for arm, share in started.shares[-1].items())
        sentence = f"the experiment {name!r} has the shares {shares} from now on"
    except Exception as error:  # of a log that cannot be read
        sentence = f"the shares of the experiment {name!r} stay as they are: {error}"
    return Finding(gate=GATE, passed=True, value=None, limit=0, sentence=sentence)


def _settled(store: Store, name: str, config: Config) -> Finding:
    try:
        judgement = judged(store.folder, name, **_observed(store, name, config))
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
