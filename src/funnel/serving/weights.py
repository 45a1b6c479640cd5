"""Shares of arms that go to the better ones: an update reads what users did and moves them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from funnel.artifacts.store import Store
from funnel.errors import ConfigError
from funnel.experiments.metrics import LiveMetric
from funnel.experiments.running import StartedExperiment, move_shares, running
from funnel.experiments.sums import DAY
from funnel.experiments.weighted import periods_of
from funnel.policies.thompson import next_weights
from funnel.serving.evidence import sums_of_store
from funnel.serving.state import StateLog


def update_weights(
    store: Store, name: str, *, state: StateLog | str | Path | None = None, events: Path | None = None
) -> StartedExperiment:
    """Give each arm of a running experiment the share that is its chance to be the best, by what its users
    did so far, from now on and in every process.

    Shares stay as they are until the next update, so that a share is the chance that a user had of an arm.
    Nothing is drawn: the same log, the same shares. For the arguments see `judged`.
    Raises: ConfigError where it does not run, or its shares do not move; as `judged` does.
    """
    started = running(store.folder).experiments.get(name)
    if started is None:
        raise ConfigError(f"the experiment {name!r} does not run: there are no shares to move")
    shares = next_shares(store.folder, name, started, state=state, events=events)
    return move_shares(store, name, shares, len(started.moved))


def next_shares(
    folder: Path,
    name: str,
    started: StartedExperiment,
    *,
    state: StateLog | str | Path | None = None,
    events: Path | None = None,
) -> Mapping[str, float]:
    """The shares that an update would give. Raises: ConfigError where the shares do not move; as `judged`
    does."""
    config = started.config
    if config.weights == "fixed":
        raise ConfigError(f'the experiment {name!r} has weights = "fixed": its shares do not move')
    sums = sums_of_store(folder, name, started, state=state, events=events)
    day = max(0, int((time.time() - started.at) // DAY))
    periods = periods_of(sums, LiveMetric.parse(config.metric), day)
    return next_weights(list(config.served), periods, least=config.least)
