"""Publish through the gates."""

from __future__ import annotations

import logging
from pathlib import Path

from funnel.artifacts import Store
from funnel.errors import GateError
from funnel.gates.config import GatesConfig
from funnel.gates.findings import Verdict
from funnel.gates.judge import judge
from funnel.gates.running import held

log = logging.getLogger(__name__)


def publish(
    store: Store | str | Path,
    version: str,
    *,
    config: GatesConfig | None = None,
    force: bool = False,
    won: str | None = None,
) -> Verdict:
    """Judge a bundle and, when every gate passes, make it the published one; the verdict.

    store: or its folder. config: thresholds, default those that the bundle was built with. force:
    publish it even if gates fail; the history of publications keeps that, and the findings. won: the
    experiment whose winner it is; another one that runs on bundles holds it, before anything is judged.
    Raises: GateError naming each gate that failed, and by how much; BundleError when the bundle is damaged
    or another one was published in the meantime. Nothing has changed then.
    """
    store = Store.of(store)
    version = store.path(version).name
    running = tuple(held(store, version, won=won))
    if running and not force:
        refuse_failed(Verdict(version=version, served=store.published(), beside=None, figures={},
                              findings=running))  # fmt: skip
    verdict = judge(store, version, config)
    verdict = verdict.model_copy(update={"findings": (*verdict.findings, *running)})
    if not force:
        refuse_failed(verdict)
    serve(store, verdict)
    return verdict


def refuse_failed(verdict: Verdict) -> None:
    """Raises: GateError naming each gate that failed, and by how much."""
    if not verdict.passed:
        raise GateError(_refusal(verdict), verdict)


def serve(store: Store, verdict: Verdict) -> None:
    """Publish what was judged, whatever the verdict; the history keeps it.

    Raises: BundleError when the bundle is damaged, or another one was published since it was judged.
    """
    if not verdict.passed:
        log.warning("published though gates failed: %s", ", ".join(verdict.failed_gates))
    store.publish(
        verdict.version,
        instead_of=verdict.served,
        forced=not verdict.passed,
        gates=[finding.model_dump(mode="json") for finding in verdict.findings],
    )


def _refusal(verdict: Verdict) -> str:
    lines = [f"  {finding.gate}: {finding.sentence}" for finding in verdict.failed]
    served = f"{verdict.served} goes on being served" if verdict.served else "nothing is served"
    return "\n".join([f"{verdict.version} was not published, {served}. Failed:", *lines])
