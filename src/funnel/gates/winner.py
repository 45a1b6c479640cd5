"""The winner of an experiment is published, through the gates."""

from __future__ import annotations

from funnel.artifacts import Store
from funnel.errors import ConfigError
from funnel.experiments.judging import Judgement
from funnel.experiments.running import running, stop
from funnel.gates.config import GatesConfig
from funnel.gates.publish import publish


def publish_winner(store: Store, judgement: Judgement, *, config: GatesConfig | None = None) -> str:
    """Publish the bundle of the arm that is to ship, through the gates, and end the experiment; the version.

    Raises: ConfigError where no arm is to ship, or the arm has no bundle of its own: then its sections belong
    into the config; GateError where a gate fails. Nothing has changed then.
    """
    if judgement.decision != "ship" or judgement.arm is None:
        raise ConfigError(
            f"the experiment {judgement.experiment!r} has no winner: {judgement.decision}. "
            + " ".join(judgement.reasons)
        )
    now = running(store.folder).experiments
    if judgement.experiment not in now:
        raise ConfigError(f"the experiment {judgement.experiment!r} does not run any more")
    arm = now[judgement.experiment].config.arms[judgement.arm]
    if arm.bundle is None or arm.sections:
        raise ConfigError(
            f"the arm {judgement.arm!r} sets {', '.join(sorted(arm.sections))} anew: write that into the "
            "config, build, and stop the experiment; only bundles are published"
        )
    version = store.path(arm.bundle).name
    if store.published() != version:
        publish(store, version, config=config, won=judgement.experiment)
    stop(store, judgement.experiment, f"{judgement.arm} won")
    return version
