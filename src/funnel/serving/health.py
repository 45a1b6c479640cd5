"""What an operator looks at."""

from __future__ import annotations

import os
import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from funnel import plugins
from funnel.errors import BundleError
from funnel.features.observed import ROOM
from funnel.features.popular import KEPT as RANKINGS_KEPT
from funnel.serving.loaded import KEPT, Loaded
from funnel.serving.parts import ServingParts
from funnel.serving.state.follower import COMPACT_AT, MOST, Follower
from funnel.serving.state.last_known import USERS


def health(parts: ServingParts) -> dict[str, Any]:
    """See `Live.health`."""
    if parts.watcher is not None:
        parts.watcher.keep_on()
    others = {name: report() for name, report in parts.reports.items()}
    return _reload(parts) | _state_and_memory(parts) | _logged(parts) | others


def _reload(parts: ServingParts) -> dict[str, Any]:
    """The version in use, and how the last reloads went."""
    bundle, reload, watcher, now = parts.follower.overlay.bundle, parts.reload, parts.watcher, time.time()
    created = datetime.fromisoformat(bundle.manifest.created)
    return {
        "version": bundle.version,
        "process": os.getpid(),
        "age_seconds": round(now - created.replace(tzinfo=created.tzinfo or UTC).timestamp(), 3),
        "plugins": _plugins(bundle),
        "data_age_seconds": round(now - bundle.data_read, 3) if bundle.data_read else None,
        "reloaded_at": reload.at,
        "reloads": reload.reloads,
        "refusals": reload.refusals,
        "refused": None if reload.refused is None else asdict(reload.refused),
        "watching": watcher is not None and watcher.alive,
    }


def _plugins(bundle: Loaded) -> list[str]:
    """Those that it answers with and was not built with, but with another version."""
    used = {(need.kind, need.name) for need in bundle.contents.needs}
    return plugins.unlike(need for need in bundle.manifest.plugins if (need.kind, need.name) in used)


def _state_and_memory(parts: ServingParts) -> dict[str, Any]:
    last_known = {"size": len(parts.users.last_known), "bound": USERS}
    return {
        "state": _state(parts),
        "memory": _memory(parts.follower) | {"users_last_known": last_known},
    }


def _logged(parts: ServingParts) -> dict[str, Any]:
    """The log of answers, lists that are drawn, and experiments."""
    return {
        "impressions": parts.recording.figures(parts.loaded),
        "explore": parts.exploring.figures(parts.loaded.contents),
        "experiments": parts.arms.health()
        | {"shadow": parts.shadow.figures(), "interleaving": parts.interleaving.figures()},
    }


def _state(parts: ServingParts) -> dict[str, Any]:
    """The log, and how far it is in what is served."""
    follower, overlay = parts.follower, parts.follower.overlay
    state: dict[str, Any] = {
        "error": next(filter(None, [follower.error, *parts.unread.values()]), None),
        "items_at": overlay.items_at,
        "events_at": overlay.events_at,
        "skipped": overlay.skipped,
    }
    try:
        return state | follower.state.sizes() | {"impressions": parts.impressions.size()}
    except BundleError as error:
        return state | {"error": str(error)}


def _memory(follower: Follower) -> dict[str, dict[str, int]]:
    """What grows while it serves: its size now, and what it cannot exceed before it is made anew or
    dropped.
    """
    overlay = follower.overlay
    filters = overlay.catalogue.live_filters.cache
    catalogue, statistics = overlay.catalogue, overlay.contents.statistics
    values, most_values = overlay.contents.ruleset.figures()
    observed, of_kinds = statistics.events.observed, [counts.observed for counts in statistics.by_kind]
    return {
        "items": {"size": len(catalogue.ids), "bound": catalogue.room},
        "items_changed": {"size": len(catalogue.changed.every()), "bound": catalogue.room},
        "items_beside_index": {"size": len(overlay.index.beside), "bound": MOST, "rebuilt_at": COMPACT_AT},
        "events_counted": {"size": min(observed.count, ROOM), "bound": ROOM, "seen": observed.count},
        "events_counted_by_kind": {
            "size": sum(min(events.count, ROOM) for events in of_kinds),
            "bound": ROOM * len(of_kinds),
        },
        "popular_rankings": {"size": len(statistics.rankings), "bound": RANKINGS_KEPT},
        "filter_bytes": {"size": filters.nbytes, "bound": filters.most_bytes},
        "funnels": {"size": len(overlay.loaded.funnels), "bound": KEPT},
        "rule_values": {"size": values, "bound": most_values},
        "users_forgotten": {"size": len(overlay.forgotten), "bound": len(overlay.own.users.ids)},
    }
