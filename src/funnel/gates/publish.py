"""Publish through the gates."""

from __future__ import annotations

import logging

from funnel.artifacts import Store
from funnel.errors import GateError
from funnel.gates.config import GatesConfig
from funnel.gates.findings import Verdict
from funnel.gates.judge import judge

log = logging.getLogger(__name__)


def publish(store: Store, version: str, *, config: GatesConfig | None = None, force: bool = False) -> Verdict:
    """Judge a bundle and, when every gate is open, make it the published one; the verdict.

    config: thresholds, default those that the bundle was built with. force: publish it all the same; the
    history of publications keeps that, and what the gates found.
    Raises: GateError naming each gate that is closed, and by how much; BundleError when the bundle is damaged
    or another one was published in the meantime. Nothing has changed then.
    """
    verdict = judge(store, version, config)
    if not force:
        refuse_closed(verdict)
    serve(store, verdict)
    return verdict


def refuse_closed(verdict: Verdict) -> None:
    """Raises: GateError naming each gate that is closed, and by how much."""
    if not verdict.passed:
        raise GateError(_refusal(verdict), verdict)


def serve(store: Store, verdict: Verdict) -> None:
    """Publish what was judged, whatever the verdict; the history keeps it.

    Raises: BundleError when the bundle is damaged, or another one was published since it was judged.
    """
    if not verdict.passed:
        log.warning("published though closed: %s", ", ".join(verdict.closed))
    store.publish(
        verdict.version,
        instead_of=verdict.served,
        forced=not verdict.passed,
        gates=[one.model_dump(mode="json") for one in verdict.findings],
    )


def _refusal(verdict: Verdict) -> str:
    lines = [f"  {one.gate}: {one.sentence}" for one in verdict.failed]
    served = f"{verdict.served} goes on being served" if verdict.served else "nothing is served"
    return "\n".join([f"{verdict.version} was not published, {served}. Closed:", *lines])
