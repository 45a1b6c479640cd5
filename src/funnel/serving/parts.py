"""What one `Live` serves with: the bundle in use, the log that it follows, experiments, what is logged."""

from __future__ import annotations

import time as clocks
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from funnel.artifacts.store import Store
from funnel.impressions import ImpressionsConfig
from funnel.serving import arguments
from funnel.serving.again import Readers
from funnel.serving.arms import Arms, Chosen
from funnel.serving.exploring import Exploring
from funnel.serving.interleaving import Interleaving
from funnel.serving.loaded import Loaded
from funnel.serving.recording import Recording
from funnel.serving.reload import Reload
from funnel.serving.request import Request
from funnel.serving.shadow import Shadow
from funnel.serving.state import StateLog, open_state
from funnel.serving.state.follower import Follower
from funnel.serving.state.impressions import SqliteImpressions
from funnel.serving.state.items import LiveItems
from funnel.serving.state.retention import retain
from funnel.serving.state.users import LiveUsers
from funnel.serving.watcher import Watcher


class ServingParts:
    """The parts of a `Live`, opened in the order in which they need each other; see there for the arguments.

    by_clock: whether a request without a time is made now, and not at the end of the bundle's data. reports:
    what others have to say in `Live.health`.
    """

    def __init__(
        self,
        store: Store,
        version: str,
        state: StateLog | str | Path | None,
        impressions: ImpressionsConfig | bool | None,
        *,
        by_clock: bool,
    ) -> None:
        self.store, self.by_clock = store, by_clock
        loaded = Loaded.load(store, version)
        folder = store.folder / "live"
        self.state = open_state(folder / "state.sqlite" if state is None else state)
        self.impressions = self.state.impressions() or SqliteImpressions(folder / "impressions.sqlite")
        self.impressions.size()  # damaged, it is told now
        settings = ImpressionsConfig(log=impressions) if isinstance(impressions, bool) else impressions
        self.recording = Recording(store.folder, settings)
        self.follower = Follower(self.state, loaded, self.recording.forget)
        self.reload = Reload(store, self.follower)
        self.exploring = Exploring(store.folder)
        self.arms = Arms(store, self.follower)
        retain(store, self.state)
        self.items = LiveItems(self.follower)
        self.users = LiveUsers(self.follower, self.impressions, self.recording)
        readers = Readers(self.users, self.impressions)
        self.shadow = Shadow(self.arms, readers, self.recording, self.exploring)
        self.interleaving = Interleaving(self.arms, readers)
        #: Why events or impressions of a user could not be read when they were last looked for, None where
        #: they could: for people. Each answer goes by what was read for itself.
        self.unread: dict[str, str | None] = {}
        self.watcher: Watcher | None = None
        self.reports: dict[str, Callable[[], Any]] = {}

    @property
    def loaded(self) -> Loaded:
        """The version in use, as far as the log was read when it was last looked at."""
        return self.follower.overlay.loaded

    def served(self) -> Loaded:
        """See `Live.served`."""
        if self.watcher is not None:
            self.watcher.keep_on()
        return self.follower.follow().loaded

    def chosen(self, user_id: Any) -> Chosen:
        """See `Live.chosen`."""
        arguments.user(user_id)
        self.served()
        self.shadow.came()
        return self.arms.choose(user_id)

    def moment(self, time: int | None) -> int | None:
        """See `Live.moment`."""
        if time is not None or not self.by_clock:
            return time
        return max(int(clocks.time()), self.follower.overlay.own.statistics.end)

    def at_moment(self, request: Request) -> Request:
        """The request with the time that it is made at."""
        time = self.moment(request.time)
        return request if time is request.time else replace(request, time=time)

    def refresh(self) -> bool:
        """See `Live.refresh`."""
        try:
            return self.reload.refresh()
        finally:
            self.arms.refresh()

    def watch(self, watcher: Watcher) -> None:
        """Be told by this watcher, and no longer by the one before."""
        if self.watcher is not None:
            self.watcher.stop()
        self.watcher = watcher

    def close(self) -> None:
        """See `Live.close`."""
        if self.watcher is not None:
            self.watcher.stop()
        self.state.close()
        self.impressions.close()
        self.shadow.close()
        self.recording.close()
