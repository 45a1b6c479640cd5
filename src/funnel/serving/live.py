"""The bundle in use: ask it for the best items, in process.

    live = funnel.Live("indexes/")
    answer = live.recommend(user_id, k=10)

Requests read one reference to the loaded bundle; `refresh` loads a newly published one in the background and
swaps it, and a load that fails leaves the old one in use. `Live("indexes/", watch=5)` looks by itself.

    live.items.upsert(frame)                      # new or changed items, in the next answer of every process
    live.items.patch([7, 8], {"price": [9, 12]})
    live.items.delete([7, 8])
    live.observe((user_id, item_id))              # a click, in that user's next answer
    live.users.forget(user_id)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from funnel.artifacts.manifest import Manifest
from funnel.artifacts.store import CURRENT, Store
from funnel.bundle.contents import Contents
from funnel.catalogue.where import Where
from funnel.errors import FunnelError
from funnel.impressions import ImpressionsConfig
from funnel.serving import encoding, explaining, observing, ranking, recent, recommending, similar
from funnel.serving.arguments import Seen
from funnel.serving.arms import Chosen
from funnel.serving.health import health
from funnel.serving.histories import RecentInteractions
from funnel.serving.loaded import Loaded, Refused
from funnel.serving.parts import ServingParts
from funnel.serving.request import Request
from funnel.serving.response import Answer
from funnel.serving.state import Event, StateLog
from funnel.serving.state.overlay import Overlay
from funnel.serving.watcher import Watcher
from funnel.types import Requests


class Live:
    """A published bundle, answering.

    store: the folder that bundles are published in, or the Store, which may trust keys. version: default the
    published one. watch: look for a newly published one every so many seconds, in a thread; None: only when
    `refresh` is called. state: where events of users and changes of items are kept; default a file in the
    store's folder `live`, which any number of processes on the machine share. A path, a URL of a server that
    several machines share, such as `redis://host:6379/0` or `postgresql://user@host/database` (see
    docs/state.md), or a log. moment: what a request is about that brings no `time`: "bundle", the end of the
    bundle's data, or "now", the wall clock. impressions: whether answers are logged, or the settings of the
    log; default what the config of the bundle in use says, which is no unless somebody wrote it; see
    docs/impressions.md.

    Any process may change items and observe events, before and after a fork; what one acknowledged is in the
    next answer of all.

    Raises: BundleError when there is no bundle, when it fails verification, or when the state is damaged;
    FunnelError for an argument that cannot be meant, naming it.
    """

    def __init__(
        self,
        store: str | Path | Store,
        version: str = "current",
        *,
        watch: float | None = None,
        state: StateLog | str | Path | None = None,
        moment: Literal["bundle", "now"] = "bundle",
        impressions: ImpressionsConfig | bool | None = None,
    ) -> None:
        if moment not in ("bundle", "now"):
            raise FunnelError(f'moment is {moment!r}; it must be "bundle" or "now"')
        store = store if isinstance(store, Store) else Store(store)
        self._parts = ServingParts(store, version, state, impressions, by_clock=moment == "now")
        self.items, self.users = self._parts.items, self._parts.users
        self.recording, self.shadow = self._parts.recording, self._parts.shadow
        self.reports = self._parts.reports  # what others have to say in `health`
        if watch is not None:
            self.watch(watch)

    @property
    def version(self) -> str:
        """The version in use."""
        return self._parts.loaded.version

    @property
    def manifest(self) -> Manifest:
        """The manifest of the version in use."""
        return self._parts.loaded.manifest

    @property
    def contents(self) -> Contents:
        """The parts of the version in use."""
        return self._parts.loaded.contents

    @property
    def store(self) -> Store:
        """The store."""
        return self._parts.store

    @property
    def folder(self) -> Path:
        """The store's folder."""
        return self._parts.store.folder

    @property
    def state(self) -> StateLog:
        """The log of changes and events."""
        return self._parts.state

    @property
    def overlay(self) -> Overlay:
        """What is served, as far as the log was read when it was last looked at."""
        return self._parts.follower.overlay

    @property
    def position(self) -> str:
        """How far the log of changes and events is in what is served, as `Answer.state` has it."""
        return self._parts.follower.position

    @property
    def state_error(self) -> str | None:
        """Why the log could not be read when it was last looked at; None when it could."""
        return self._parts.follower.error

    @property
    def refused(self) -> Refused | None:
        """What was published since and could not be used, and why; None when what is published is in use."""
        return self._parts.reload.refused

    def refresh(self) -> bool:
        """Load the published version if it is another one; whether it was.

        It is verified, loaded, given all changes of items and events, and called once; then one reference is
        swapped. Requests in flight end on the version that they began with, whose memory is free after the
        last of them.
        Raises: BundleError when the published version cannot be used; the one in use goes on as it was, and
        `refused` says why. Also the experiments that are to run are taken up.
        """
        return self._parts.refresh()

    def watch(self, seconds: float) -> None:
        """Look for a newly published version every so many seconds, in a thread of this process.

        Raises: ConfigError unless seconds is a number above 0, of a year at most.
        """
        self._parts.watch(Watcher(self, self.folder / CURRENT, seconds))

    def close(self) -> None:
        """Stop looking for newly published versions, write what waits for the log of answers, and close the
        files; answering goes on."""
        self._parts.close()

    def health(self) -> dict[str, Any]:
        """What an operator looks at, as plain values for JSON: the version and its age, the plugins that
        are here in another version than it was built with, the last reload and why it failed, the position in
        the state and whether it can be read, and every structure in memory that grows while it serves, with
        its size and its bound.
        """
        return health(self._parts)

    def observe(
        self,
        *events: Event | tuple[Any, ...],
        kind: str = "interaction",
        value: float | None = None,
        key: str | None = None,
    ) -> None:
        """Take in that users interacted with items: (user id, item id, seconds, kind, value, answer), or
        without what stands last; without the time it is now. answer: `Answer.id` of what showed the item.

            live.observe((user_id, item_id), kind="purchase", value=19.9)

        kind: of the events that do not say one: a kind of the bundle's events, such as "click" or "purchase";
        "interaction", where nothing is known of it; or "impression": the users were shown the items.
        Impressions are what frequency caps count, in the next answer of every process; no history and no
        count of an item has them. value: of the events that do not say one, such as a price, at least 0. key:
        names the call, so that it can be made again when nobody knows what became of it: what was taken in
        under a key within a day is not taken in again.

        On return the users' next answers go by it, and the items' counts have it, in every process; nobody
        else's answers change but by these counts. A user or an item that the bundle does not know is no
        error. An event from before the end of the bundle's data comes late, and is put behind it; events
        count in the order in which they come.

        Events of a kind that the bundle leaves out (`events.ignore`) are kept for bundles to come; those that
        say no (`events.negatives`) are in no history and no count.

        Raises: DataError for another kind, a value that is none, an event without ids, with a time in another
        unit, or one that is more than ten minutes ahead of the clock, or a key that came with other events
        before; BundleError when it cannot be kept. Then none of the events is taken in; only of a call that
        has impressions beside others, and whose others cannot be kept, the impressions may count. Made again
        under its key, the call counts them once.
        """
        self.take_in(events, kind=kind, value=value, key=key)

    def take_in(
        self,
        events: Sequence[Event | tuple[Any, ...]],
        *,
        kind: str = "interaction",
        value: float | None = None,
        key: str | None = None,
    ) -> int:
        """`observe`, and how many events were taken in: all of them, or none under a key that is known."""
        return observing.observe(self._parts, tuple(events), kind, value, key)

    def served(self) -> Loaded:
        """What answers a request that is made now: all that was acknowledged until then is in it."""
        return self._parts.served()

    def chosen(self, user_id: Any) -> Chosen:
        """What answers a request of this user that is made now, which experiments may have a say in."""
        return self._parts.chosen(user_id)

    def moment(self, time: int | None) -> int | None:
        """The time of a request: the given one, or that of the clock where this Live goes by it."""
        return self._parts.moment(time)

    def recommend(
        self,
        user_id: Any = None,
        k: int = 10,
        *,
        history: Iterable[Any] | None = None,
        user: Mapping[str, Any] | None = None,
        where: Where | None = None,
        exclude: Iterable[Any] | None = (),
        time: int | None = None,
        deadline: float | None = None,
        attributes: Iterable[str] | None = None,
        seen: Seen = None,
        context: Mapping[str, Any] | None = None,
        seed: int | None = None,
    ) -> Answer:
        """The best k items for one user; drawn by chance where the bundle explores, see docs/explore.md.

        k: at most a million are returned. history: item ids, oldest first, in place of the stored history;
            where events are of several kinds also pairs (item id, kind).
        user: columns in place of the stored ones. where: a filter on item columns, see
            `funnel.catalogue.where`. exclude: item ids not to return.
        time: seconds; default the moment that this Live goes by.
        deadline: milliseconds from now. Ranking and diversity are left out when more than one in ten of their
        latest runs would have ended later; the answer's reasons then hold "skipped:rank" or "skipped:rerank".
        attributes: names of the item columns to return; default all but vectors. None of them: [].
        seen: "exclude" leaves out the items of the history, "allow" returns them like all others; a list of
            kinds of events, such as ["purchase"], leaves out items that the user had one of these with;
            default as the bundle's config has it (`split.exclude_seen`).
        context: what is known at this moment, by the columns that are declared so; see docs/context.md. What
            is not given, or was never seen, is missing.
        seed: of a list that is drawn, in place of chance: that of `Answer.policy` draws the same list again.
            -1: nothing is drawn. Without meaning where the bundle draws no lists.
        A user or an item never seen is no error: the answer says so in `reasons`.

        Raises: FunnelError for an argument that cannot be meant, naming it: k < 1, a `time` that is not in
        seconds, a text or more than 100,000 ids as `history` or `exclude`; ConfigError when `where`, `user`
        or `context` names an unknown column, or `where` asks for what a column cannot have; DataError for a
        value that a column cannot have, and for a `user_id` that cannot be one, such as NaN.
        """
        request = Request(user_id, history, user, where, exclude, time, seen, context)
        return recommending.recommend(
            self._parts, request, k, deadline=deadline, attributes=attributes, seed=seed
        )

    def recommend_many(
        self,
        user_ids: Iterable[Any],
        k: int = 10,
        *,
        where: Where | None = None,
        time: int | None = None,
        seen: Seen = None,
        context: Mapping[str, Any] | Sequence[Mapping[str, Any] | None] | None = None,
    ) -> list[Answer]:
        """The best k items for each of several users, in their order, all of an arm from one version.

        The same answers as one by one, in a fraction of the time; `milliseconds` are of the whole batch.
        where, time, seen: the same for all, see `recommend`. context: the same for all, or a list of one for
        each.

        Raises: see `recommend`.
        """
        same = Request(where=where, time=time, seen=seen)
        return recommending.recommend_many(self._parts, user_ids, k, same, context)

    def rank(
        self,
        user_id: Any,
        items: Iterable[Any],
        *,
        history: Iterable[Any] | None = None,
        user: Mapping[str, Any] | None = None,
        time: int | None = None,
        attributes: Iterable[str] | None = None,
        rerank: bool = False,
        context: Mapping[str, Any] | None = None,
    ) -> Answer:
        """All of a given list, best first: a page of search results, the bidders of an auction.

        items: at most 10,000 item ids. Each item has the score that it has in `recommend` where it is found
        there, and which it would have where it is not; what else is in the list changes nothing. Without a
        ranker it is the retrieval order. Items that the user interacted with are ranked as well.
        rerank: also what stands behind the ranker, such as diversity, for at most 1,000 items.
        For the other arguments see `recommend`.

        An item that is given more than once comes back once ("duplicate_items" in the answer's reasons). One
        that cannot come back is named there: "unknown_item:ID", "deleted_item:ID". An empty list has an empty
        answer, with "no_items".

        Raises: FunnelError for an argument that cannot be meant, naming it: a text, a table or more than
        10,000 ids as `items`; ConfigError when `user` names an unknown column.
        """
        request = Request(user_id, history, user, time=time, context=context)
        return ranking.rank(self._parts, request, items, attributes=attributes, rerank=rerank)

    def similar(
        self,
        item_id: Any,
        k: int = 10,
        *,
        user_id: Any = None,
        where: Where | None = None,
        exclude: Iterable[Any] | None = (),
        time: int | None = None,
        attributes: Iterable[str] | None = None,
        seen: Seen = None,
        context: Mapping[str, Any] | None = None,
    ) -> Answer:
        """The k items nearest to an item, never itself: those that users most often interact with beside it,
        and behind them those with the nearest vectors, which a new item has by its columns.

        user_id: somebody whose history counts as well, before the item; what they have seen is left out as
        `seen` says. For the other arguments see `recommend`.
        An item that the catalogue does not have, or no longer, is no error: the answer is empty, and its
        reasons have "unknown_item:ID" or "deleted_item:ID".

        Raises: see `recommend`.
        """
        request = Request(user_id, None, None, where, exclude, time, seen, context)
        return similar.similar(self._parts, request, item_id, k, attributes=attributes)

    def explain(
        self,
        user_id: Any,
        item_id: Any,
        *,
        history: Iterable[Any] | None = None,
        user: Mapping[str, Any] | None = None,
        time: int | None = None,
        seen: Seen = None,
        context: Mapping[str, Any] | None = None,
    ) -> dict[str, float]:
        """Each feature's SHAP contribution to the ranker's score of an item, largest first; they and `base`
        add up to the score that `rank` gives it, and `recommend` where it finds it. For the other arguments
        see `recommend`.

        Raises: FunnelError when the item is unknown or deleted, or when the bundle keeps the retrieval order.
        """
        request = Request(user_id, history, user, time=time, seen=seen, context=context)
        return explaining.explain(self._parts, request, item_id)

    def history(self, user_id: Any) -> list[Any]:
        """The item ids that a user interacted with, oldest first; none for an unknown user."""
        return recent.history_of(self._parts, user_id)

    def recent_interactions(self, user_id: Any) -> RecentInteractions:
        """The events of a user that were observed and are kept, oldest first; where they cannot be read,
        which `health` then says, those that were read last."""
        return recent.read(self._parts, user_id)[0]

    def recent_interactions_of_each(self, user_ids: Sequence[Any]) -> list[RecentInteractions]:
        """The same for each of several users, read together."""
        return recent.read_together(self._parts, user_ids)[0]

    def on_occasion(
        self, loaded: Loaded, requests: Requests, user_ids: Sequence[Any], time: int | None = None
    ) -> Requests:
        """The requests with what caps and budgets go by, where the bundle has such rules. time: default that
        of the clock."""
        return encoding.on_occasion(self._parts, loaded, requests, user_ids, time)
