"""The bundle in use: ask it for the best items, in process.

    live = funnel.Live("indexes/")
    answer = live.recommend(user_id, k=10)

Requests read one reference to the loaded bundle; `refresh` loads a newly published one aside and swaps it,
and a load that fails leaves the old one in use. `Live("indexes/", watch=5)` looks by itself.

    live.items.upsert(frame)              # new or changed items, in the next answer
    live.items.delete([7, 8])
    live.observe((user_id, item_id))      # a click, in that user's next answer
"""

from __future__ import annotations

import logging
import math
import operator
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from numbers import Real
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from funnel.bundle.contents import Contents
from funnel.bundle.manifest import Manifest
from funnel.bundle.store import CURRENT, Store
from funnel.bundle.where import Where
from funnel.engine import Step
from funnel.errors import FunnelError
from funnel.serving.background import give_back
from funnel.serving.loaded import Loaded, Refused
from funnel.serving.reasons import recommendations
from funnel.serving.request import Question, Since, ask, ask_many, history_of
from funnel.serving.response import ALL_FILTERED, FEWER_THAN_K, RETRIEVAL_ORDER, SKIPPED, Answer
from funnel.serving.state import Event, RecentUsers, UserEvents
from funnel.serving.state.items import LiveItems
from funnel.serving.state.observing import take_in
from funnel.serving.state.users import written_id
from funnel.serving.watcher import Watcher
from funnel.types import Requests
from funnel.values.text import whole

log = logging.getLogger(__name__)


class Live:
    """A published bundle, answering.

    store: the folder that bundles are published in. version: default the published one. watch: look for a
    newly published one every so many seconds, in a thread; None: only when `refresh` is called. users: where
    events are kept; default the users seen last, in memory and in the store.

    Changes of items and events of users are kept in the store's folder `live`, and are made again on every
    bundle. One Live at a time may change them; others read them when they start or take a bundle up.

    Raises: BundleError when there is none, when it fails verification, or when what is in `live` is damaged.
    """

    def __init__(
        self,
        store: str | Path,
        version: str = "current",
        *,
        watch: float | None = None,
        users: UserEvents | None = None,
    ) -> None:
        self._store = Store(Path(store))
        self._refreshing = threading.Lock()
        self._refused: Refused | None = None
        folder = self._store.folder / "live"
        loaded = Loaded.load(self._store, version)
        self._users = RecentUsers(folder / "events.log") if users is None else users
        self.items = LiveItems(folder, loaded, partial(take_in, events=self._users))
        self._watcher = None if watch is None else Watcher(self, self._store.folder / CURRENT, watch)

    @property
    def _loaded(self) -> Loaded:
        return self.items.loaded

    @property
    def version(self) -> str:
        """The version in use."""
        return self._loaded.version

    @property
    def manifest(self) -> Manifest:
        """The manifest of the version in use."""
        return self._loaded.manifest

    @property
    def contents(self) -> Contents:
        """The parts of the version in use."""
        return self._loaded.contents

    @property
    def refused(self) -> Refused | None:
        """What was published since and could not be used, and why; None when what is published is in use."""
        return self._refused

    def refresh(self) -> bool:
        """Load the published version if it is another one; whether it was.

        It is verified, loaded and asked once aside; then one reference is swapped. Requests in flight end on
        the version that they began with, whose memory is free after the last of them.
        Raises: BundleError when the published version cannot be used; the one in use goes on, and `refused`
        says why.
        """
        with self._refreshing:
            published = "none"
            try:
                published = self._store.current()
                fresh = (
                    None if published == self.version else Loaded.load(self._store, published, serving=True)
                )
                if fresh is not None:
                    self._loaded.check_successor(fresh)
                    self._refused = None
                    self.items.adopt(fresh)
            except FunnelError as error:
                now = datetime.now(UTC).isoformat(timespec="seconds")
                self._refused = Refused(published, str(error), now)
                log.error("%s goes on being served, %s was refused: %s", self.version, published, error)
                raise
            self._refused = None
            if fresh is None:
                return False
            log.info("now serving %s", published)
            give_back()
            return True

    def close(self) -> None:
        """Stop looking for newly published versions, and let another Live change items; answering goes on."""
        if self._watcher is not None:
            self._watcher.stop()
        self.items.close()
        self._users.close()

    def observe(self, *events: Event | tuple[Any, ...]) -> None:
        """Take in that users met items: (user id, item id, seconds), or without the time, which is then now.

        On return the users' next answers go by it, and the items' counts have it; a user or an item that the
        bundle does not know is no error. A time that is not after all that is known of the user is taken for
        the moment after: events count in the order in which they come, whatever clocks say.

        Raises: DataError for an event without ids or with a time that is none; BundleError when it cannot be
        kept. Then none of the events is taken in.
        """
        for number, event in enumerate(events):
            whole(event, f"event {number}")
        with self.items.changing:
            take_in(self._loaded, self._users, new=events)

    def recommend(
        self,
        user_id: Any = None,
        k: int = 10,
        *,
        history: Sequence[Any] | None = None,
        user: Mapping[str, Any] | None = None,
        where: Where | None = None,
        exclude: Sequence[Any] = (),
        time: int | None = None,
        deadline: float | None = None,
    ) -> Answer:
        """The best k items for one user.

        history: item ids, oldest first, in place of the stored history. user: columns in place of the stored
        ones. where: a filter on item columns, see `funnel.bundle.where`. exclude: item ids not to return.
        time: seconds; default one second after the last event that the bundle knows.
        deadline: milliseconds from now. Ranking and diversity are left out when, by their mean time so far,
        they would end later; the answer's reasons then hold "skipped:rank" or "skipped:rerank".
        A user or an item never seen is no error: the answer says so in `reasons`.

        Raises: FunnelError when k < 1, or when `time` or `deadline` is no number; ConfigError when `where` or
        `user` names an unknown column, or `where` asks for what a column cannot have.
        """
        began = perf_counter()
        asked = _at_least_one(k)
        loaded = self._loaded
        contents = loaded.contents
        question = Question(user_id, history, user or {}, where, exclude, time)
        requests, reasons = ask(contents, question, self.since(user_id))
        left = None if deadline is None else _milliseconds(deadline) / 1000 - (perf_counter() - began)
        steps = loaded.funnel(min(asked, len(contents.catalogue.ids))).trace(requests, seconds=left)
        return _answer(loaded, user_id, requests, steps, asked, reasons)

    def recommend_many(
        self, user_ids: Sequence[Any], k: int = 10, *, where: Where | None = None, time: int | None = None
    ) -> list[Answer]:
        """The best k items for each of several users, in their order, all from one version.

        The same answers as one by one, in a fraction of the time; `milliseconds` are of the whole batch.
        where, time: the same for all, see `recommend`.

        Raises: see `recommend`.
        """
        asked = _at_least_one(k)
        if isinstance(user_ids, str | bytes):
            raise FunnelError(f"user_ids is {user_ids!r}; a list of user ids is expected")
        loaded = self._loaded
        if not len(user_ids):
            return []
        since = [self.since(one) for one in user_ids]
        requests, reasons = ask_many(loaded.contents, user_ids, where, time, since)
        steps = loaded.funnel(min(asked, len(loaded.contents.catalogue.ids))).trace(requests)
        answers = []
        for place, (user_id, codes) in enumerate(zip(user_ids, reasons, strict=True)):
            row = np.array([place])
            own = replace(steps[-1], candidates=steps[-1].candidates.take(row))
            answers.append(_answer(loaded, user_id, requests.take(row), [*steps[:-1], own], asked, codes))
        return answers

    def explain(
        self,
        user_id: Any,
        item_id: Any,
        *,
        history: Sequence[Any] | None = None,
        user: Mapping[str, Any] | None = None,
        time: int | None = None,
    ) -> dict[str, float]:
        """Each feature's SHAP contribution to the ranker's score of an item, largest first; they and `base`
        add up to the score. For the other arguments see `recommend`.

        Raises: FunnelError when the item is unknown or not on this user's shortlist, or when the bundle keeps
        the retrieval order.
        """
        loaded = self._loaded
        contents, version = loaded.contents, loaded.version
        if contents.ranker is None:
            raise FunnelError(f"{version} keeps the retrieval order: there is no ranker to explain")
        item = contents.catalogue.ids.row(item_id)
        if item < 0:
            raise FunnelError(f"item {item_id!r} is not in the catalogue of {version}")
        question = Question(user_id, history, user or {}, time=time)
        requests, _ = ask(contents, question, self.since(user_id))
        steps = loaded.funnel(contents.rerank.k).trace(requests)
        rank = [step.name for step in steps].index("rank")
        shortlist = steps[rank - 1].candidates
        place = np.flatnonzero(shortlist.items[0] == item)
        if len(place) == 0:
            raise FunnelError(
                f"item {item_id!r} is not on the shortlist of user {user_id!r}: it was not ranked"
            )
        return contents.ranker.explain(contents.candidate_features().matrix(requests, shortlist)[0, place])

    def history(self, user_id: Any) -> list[Any]:
        """The item ids that a user is known to have met, oldest first; empty for an unknown user."""
        contents = self._loaded.contents
        rows = history_of(contents, contents.users.ids.row(user_id), self.since(user_id))[0].values
        return contents.catalogue.ids.values[rows].tolist()

    def since(self, user_id: Any) -> Since:
        """The events of a user that were observed and are kept, oldest first."""
        user = written_id(user_id)
        return () if user is None else self._users.of(user)


def _answer(
    loaded: Loaded, user_id: Any, requests: Requests, steps: Sequence[Step], asked: int, reasons: list[str]
) -> Answer:
    """What the last step of one request left, and the codes of what was missing."""
    final = steps[-1].candidates
    found = int(final.filled.sum())
    if found < asked:
        reasons.append(FEWER_THAN_K if found else ALL_FILTERED)
    if loaded.contents.ranker is None:
        reasons.append(RETRIEVAL_ORDER)
    reasons += [f"{SKIPPED}{step.name}" for step in steps if step.skipped]
    return Answer(
        user_id=user_id,
        items=recommendations(loaded.contents, requests, final),
        version=loaded.version,
        reasons=tuple(reasons),
        milliseconds={step.name: 1000 * step.seconds for step in steps},
    )


def _milliseconds(deadline: Any) -> float:
    """A deadline as a number; Raises FunnelError."""
    if isinstance(deadline, bool) or not isinstance(deadline, Real) or math.isnan(deadline):
        raise FunnelError(f"deadline is {deadline!r}; it must be a number of milliseconds")
    return float(deadline)


def _at_least_one(k: Any) -> int:
    """k as a number; Raises FunnelError."""
    try:
        number = operator.index(k)
    except TypeError:
        number = 0
    if number < 1 or isinstance(k, bool):
        raise FunnelError(f"k is {k!r}; it must be a whole number of at least 1")
    return number
