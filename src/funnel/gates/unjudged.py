"""Serve what is not judged here: what was served before, or what was judged in another store. A running
experiment on bundles holds both, as it holds what is published."""

from __future__ import annotations

from typing import Any

from funnel.artifacts import Store
from funnel.gates.findings import Verdict
from funnel.gates.publish import refuse_failed
from funnel.gates.running import held


def rollback(store: Store, version: str | None = None, *, force: bool = False) -> str:
    """See `Store.rollback`. force: also while an experiment runs on bundles; the history keeps that.

    Raises: GateError naming the experiments that run; BundleError as `Store.rollback` does.
    """
    wanted = store.previous() if version is None else version
    if wanted is None:
        return store.rollback()  # says that there is none
    return store.rollback(wanted, **_despite(store, wanted, force))


def publish_unjudged(store: Store, version: str, *, force: bool = False) -> None:
    """Publish a bundle that was judged elsewhere. force: as for `rollback`.

    Raises: GateError naming the experiments that run; BundleError as `Store.publish` does.
    """
    version = store.path(version).name
    store.publish(version, **_despite(store, version, force))


def _despite(store: Store, version: str, force: bool) -> dict[str, Any]:
    """What the history says of it."""
    running = tuple(held(store, version))
    if not force:
        refuse_failed(Verdict(version=version, served=store.published(), beside=None, figures={},
                              findings=running))  # fmt: skip
    return {"forced": bool(running), "gates": [finding.model_dump(mode="json") for finding in running]}
