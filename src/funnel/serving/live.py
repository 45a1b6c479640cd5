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

import logging
import time as clocks
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

import numpy as np

from funnel.artifacts.manifest import Manifest
from funnel.artifacts.store import CURRENT, Store
from funnel.bundle.contents import Contents
from funnel.catalogue.where import Where
from funnel.engine import RANK, Step
from funnel.errors import BundleError, FunnelError
from funnel.impressions import ImpressionsConfig, answers_folder
from funnel.serving import arguments
from funnel.serving.arguments import Seen
from funnel.serving.arms import Arms, Chosen, groups
from funnel.serving.exploring import Exploring, policy_of
from funnel.serving.given import among, beside, given_items, living_item
from funnel.serving.health import health
from funnel.serving.histories import RecentInteractions, events_of, history
from funnel.serving.loaded import Loaded, Refused
from funnel.serving.occasion import occasion_of
from funnel.serving.probabilities import ranked
from funnel.serving.reasons import recommendations
from funnel.serving.recording import Called, Recording, in_front
from funnel.serving.reload import Reload
from funnel.serving.request import Request, encode_request, encode_requests
from funnel.serving.response import (
    ALL_FILTERED,
    EMPTY_HISTORY,
    FEWER_THAN_K,
    GAVE_WAY,
    NO_VALUE,
    RETRIEVAL_ORDER,
    RULES_NOT_PROVEN,
    SKIPPED,
    STATE_UNREADABLE,
    Answer,
)
from funnel.serving.shadow import Shadow
from funnel.serving.state import Event, StateLog, open_state
from funnel.serving.state.follower import Follower
from funnel.serving.state.impressions import SqliteImpressions
from funnel.serving.state.interactions import KindsTaken, checked, is_shown
from funnel.serving.state.items import LiveItems
from funnel.serving.state.once import CallKey
from funnel.serving.state.overlay import Overlay
from funnel.serving.state.retention import retain
from funnel.serving.state.users import LiveUsers
from funnel.serving.watcher import Watcher
from funnel.types import Requests
from funnel.values.shown import shown

log = logging.getLogger(__name__)


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

    Raises: BundleError when there is no bundle, when it fails verification, or when the state is damaged.
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
        self._store = store if isinstance(store, Store) else Store(Path(store))
        self._by_clock = moment == "now"
        loaded = Loaded.load(self._store, version)
        folder = self._store.folder / "live"
        state = folder / "state.sqlite" if state is None else state
        self._state = open_state(state) if isinstance(state, str | Path) else state
        self._impressions = self._state.impressions() or SqliteImpressions(folder / "impressions.sqlite")
        self._impressions.size()  # damaged, it is told now
        settings = ImpressionsConfig(log=impressions) if isinstance(impressions, bool) else impressions
        self.recording = Recording(answers_folder(self._store.folder), settings)
        self._follower = Follower(self._state, loaded)
        self._reload = Reload(self._store, self._follower)
        self._exploring = Exploring(self._store.folder)
        self._arms = Arms(self._store, self._follower)
        retain(self._store, self._state)
        self.reports: dict[str, Callable[[], Any]] = {}  # what others have to say in `health`
        self.items = LiveItems(self._follower)
        self.users = LiveUsers(self._follower, self._impressions, self.recording)
        self.shadow = Shadow(self._store.folder, self._arms, self.users, self._impressions)
        self._watcher: Watcher | None = None
        if watch is not None:
            self.watch(watch)

    @property
    def _loaded(self) -> Loaded:
        return self._follower.overlay.loaded

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
    def store(self) -> Store:
        """The store."""
        return self._store

    @property
    def folder(self) -> Path:
        """The store's folder."""
        return self._store.folder

    @property
    def state(self) -> StateLog:
        """The log of changes and events."""
        return self._state

    @property
    def overlay(self) -> Overlay:
        """What is served, as far as the log was read when it was last looked at."""
        return self._follower.overlay

    @property
    def position(self) -> str:
        """How far the log of changes and events is in what is served, as `Answer.state` has it."""
        return self._follower.position

    @property
    def state_error(self) -> str | None:
        """Why the log could not be read when it was last looked at; None when it could."""
        return self._follower.error

    @property
    def refused(self) -> Refused | None:
        """What was published since and could not be used, and why; None when what is published is in use."""
        return self._reload.refused

    def refresh(self) -> bool:
        """Load the published version if it is another one; whether it was.

        It is verified, loaded, given all changes of items and events, and called once; then one reference is
        swapped. Requests in flight end on the version that they began with, whose memory is free after the
        last of them.
        Raises: BundleError when the published version cannot be used; the one in use goes on as it was, and
        `refused` says why. Also the experiments that are to run are taken up.
        """
        try:
            return self._reload.refresh()
        finally:
            self._arms.refresh()

    def watch(self, seconds: float) -> None:
        """Look for a newly published version every so many seconds, in a thread of this process.

        Raises: ConfigError unless seconds is above 0.
        """
        watcher = Watcher(self, self._store.folder / CURRENT, seconds)
        if self._watcher is not None:
            self._watcher.stop()
        self._watcher = watcher

    def close(self) -> None:
        """Stop looking for newly published versions, write what waits for the log of answers, and close the
        files; answering goes on."""
        if self._watcher is not None:
            self._watcher.stop()
        self._state.close()
        self._impressions.close()
        self.recording.close()
        self.shadow.close()

    def health(self) -> dict[str, Any]:
        """What an operator looks at, as plain values for JSON: the version and its age, the last reload and
        why it failed, the position in the state and whether it can be read, and every structure in memory
        that grows while it serves, with its size and its bound.
        """
        if self._watcher is not None:
            self._watcher.keep_on()
        known = health(self._follower, self._reload, self._watcher, self._impressions, self.users.last_known)
        others = {name: report() for name, report in self.reports.items()}
        own = {
            "impressions": self.recording.figures(self._loaded),
            "explore": self._exploring.figures(self.contents),
            "experiments": self._arms.health() | {"shadow": self.shadow.figures()},
        }
        return known | own | others

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
        before; BundleError when it cannot be kept. Then none of the events is taken in.
        """
        own, numbered = self._follower.overlay.own, list(enumerate(events))
        views = checked([event for event in numbered if is_shown(event[1], kind)], 0)
        others = [event for event in numbered if not is_shown(event[1], kind)]
        kinds = KindsTaken(own.kinds, "interaction" if kind == "impression" else kind, value)
        taken = checked(others, own.statistics.end if own.statistics.clock == "time" else None, kinds)
        once = None if key is None else CallKey.of(key, [*taken, *views])
        if taken or once is not None:  # the log of events knows every key
            self._state.observe(taken, once)
            self.recording.feedback += sum(event.answer is not None for event in taken)
        if views:
            self._impressions.observe(views, once)

    def served(self) -> Loaded:
        """What answers a request that is made now: all that was acknowledged until then is in it."""
        if self._watcher is not None:
            self._watcher.keep_on()
        return self._follower.follow().loaded

    def chosen(self, user_id: Any) -> Chosen:
        """What answers a request of this user that is made now, which experiments may have a say in."""
        self.served()
        self.shadow.came()
        return self._arms.choose(user_id)

    def moment(self, time: int | None) -> int | None:
        """The time of a request: the given one, or that of the clock where this Live goes by it."""
        if time is not None or not self._by_clock:
            return time
        return max(int(clocks.time()), self._follower.overlay.own.statistics.end)

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
        value that a column cannot have.
        """
        began = perf_counter()
        wanted = arguments.item_count(k)
        limit = None if deadline is None else arguments.milliseconds(deadline) / 1000
        chosen = self.chosen(user_id)
        loaded = chosen.loaded
        columns = arguments.attributes(attributes, loaded.contents.catalogue.names)
        request = Request(user_id, history, user, where, exclude, self.moment(time), seen, context)
        requests, reasons = encode_request(loaded.contents, request, self.recent_interactions(user_id))
        requests = self.on_occasion(loaded, requests, [user_id], time)
        requests = self._exploring.drawing(requests, loaded.contents, [user_id], seed)
        left = None if limit is None else limit - (perf_counter() - began)
        steps = loaded.for_requests(requests, wanted).trace(requests, seconds=left)
        given = Called("recommend", request, in_front(loaded.contents, steps))
        return self._answer(chosen, given, requests, steps, wanted, reasons, columns)

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
        wanted, users = arguments.item_count(k), arguments.ids(user_ids, "user_ids")
        self.served()
        self.shadow.came()
        answers: dict[int, Answer] = {}
        for chosen, numbers in groups([self._arms.choose(user_id) for user_id in users], self._arms.of({})):
            some = [users[number] for number in numbers]
            own = arguments.contexts_of(context, numbers, len(users))
            together = self._recommend_together(chosen, some, wanted, where, time, seen, own)
            answers |= zip(numbers, together, strict=True)
        return [answers[number] for number in range(len(users))]

    def _recommend_together(
        self,
        chosen: Chosen,
        users: list[Any],
        wanted: int,
        where: Where | None,
        time: int | None,
        seen: Seen,
        context: Mapping[str, Any] | Sequence[Mapping[str, Any] | None] | None,
    ) -> list[Answer]:
        """An answer a user, all of one arm."""
        loaded = chosen.loaded
        since = self.recent_interactions_of_each(users)
        moment = self.moment(time)
        requests, reasons = encode_requests(loaded.contents, users, where, moment, since, seen, context)
        if not users:
            return []
        requests = self.on_occasion(loaded, requests, users, time)
        requests = self._exploring.drawing(requests, loaded.contents, users, None)
        steps = loaded.for_requests(requests, wanted).trace(requests)
        answers = []
        for number, (user_id, codes) in enumerate(zip(users, reasons, strict=True)):
            row = np.array([number])
            own = [step.of(row) if step.name in (steps[-1].name, RANK) else step for step in steps]
            moment_of = context[number] if isinstance(context, Sequence) else context
            request = Request(user_id, where=where, seen=seen, context=moment_of)
            given = Called("recommend", request, in_front(loaded.contents, steps, number))
            answers.append(self._answer(chosen, given, requests.take(row), own, wanted, codes))
        return answers

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
        chosen = self.chosen(user_id)
        loaded = chosen.loaded
        columns = arguments.attributes(attributes, loaded.contents.catalogue.names)
        rows, missing = given_items(loaded.contents, items)
        funnel = loaded.ranking(arguments.reranked(rerank, len(rows)))
        request = Request(user_id, history, user, time=self.moment(time), context=context)
        requests, reasons = encode_request(loaded.contents, request, self.recent_interactions(user_id))
        requests = among(loaded.contents, requests, rows)
        steps = funnel.trace(requests)
        given = Called("rank", request, in_front(loaded.contents, steps))
        return self._answer(chosen, given, requests, steps, len(rows), missing + reasons, columns)

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
        wanted, loaded = arguments.item_count(k), self.served()
        state = self.position
        columns = arguments.attributes(attributes, loaded.contents.catalogue.names)
        rows, missing = given_items(loaded.contents, [item_id])
        history = () if user_id is None else None
        request = Request(user_id, history, None, where, exclude, self.moment(time), seen, context)
        requests, reasons = encode_request(loaded.contents, request, self.recent_interactions(user_id))
        if not len(rows):
            return Answer(user_id, (), loaded.version, tuple(missing), {}, state)
        requests = beside(requests, int(rows[0]))
        steps = loaded.neighbours(wanted).trace(requests)
        codes = [] if user_id is None else [code for code in reasons if code != EMPTY_HISTORY]
        given = Called("similar", request, in_front(loaded.contents, steps))
        return self._answer(Chosen(loaded, state), given, requests, steps, wanted, codes, columns)

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
        loaded = self.chosen(user_id).loaded
        contents, version = loaded.contents, loaded.version
        if contents.ranker is None:
            raise FunnelError(f"{version} keeps the retrieval order: there is no ranker to explain")
        row = living_item(contents, version, item_id)
        request = Request(user_id, history, user, time=self.moment(time), seen=seen, context=context)
        requests, _ = encode_request(contents, request, self.recent_interactions(user_id))
        requests = among(contents, requests, np.array([row], dtype=np.int32))
        steps = loaded.ranking().trace(requests)
        placed = steps[[step.name for step in steps].index("rank") - 1].candidates
        if not placed.filled.any():
            raise FunnelError(f"item {shown(item_id)} was left out by a stage in front of the ranker")
        return contents.ranker.explain(contents.candidate_features().matrix(requests, placed)[0, 0])

    def history(self, user_id: Any) -> list[Any]:
        """The item ids that a user interacted with, oldest first; none for an unknown user."""
        contents = self.served().contents
        row = contents.users.ids.row(arguments.known(user_id))
        events = events_of(contents, row, self.recent_interactions(user_id))
        return contents.catalogue.ids.take(history(contents, events).items)

    def recent_interactions(self, user_id: Any) -> RecentInteractions:
        """The events of a user that were observed and are kept, oldest first; where they cannot be read,
        which `health` then says, those that were read last."""
        try:
            return self.users.events(arguments.known(user_id))
        except BundleError as error:
            self._follower.error = str(error)
            return self.users.events_last_known(arguments.known(user_id))

    def recent_interactions_of_each(self, user_ids: Sequence[Any]) -> list[RecentInteractions]:
        """The same for each of several users, read together."""
        try:
            return list(self.users.events_of_each([arguments.known(user_id) for user_id in user_ids]))
        except BundleError as error:
            self._follower.error = str(error)
            return [self.users.events_last_known(arguments.known(user_id)) for user_id in user_ids]

    def on_occasion(
        self, loaded: Loaded, requests: Requests, user_ids: Sequence[Any], time: int | None = None
    ) -> Requests:
        """The requests with what caps and budgets go by, where the bundle has such rules. time: default that
        of the clock."""
        seconds = arguments.moment(time)
        occasion, error = occasion_of(
            loaded.contents, self._impressions, user_ids, seconds, loaded.manifest.seed
        )
        if error is not None:
            self._follower.error = error
        return requests if occasion is None else replace(requests, occasion=occasion)

    def _answer(
        self,
        chosen: Chosen,
        given: Called,
        requests: Requests,
        steps: Sequence[Step],
        wanted: int,
        reasons: list[str],
        attributes: Sequence[str] | None = None,
    ) -> Answer:
        """What the last step of one request left, and the codes of what was missing."""
        loaded, final = chosen.loaded, steps[-1].candidates
        filled = int(final.filled.sum())
        if filled < wanted:  # of a given list: what a stage of a plugin left out
            reasons.append(FEWER_THAN_K if filled else ALL_FILTERED)
        if loaded.contents.ranker is None:
            reasons.append(RETRIEVAL_ORDER)
        if loaded.contents.rank.value is not None and loaded.contents.expected_value is None:
            reasons.append(NO_VALUE)
        for outcome in final.outcomes:
            reasons += [f"{GAVE_WAY}{name}" for name in outcome.gave_way]
            reasons += [] if outcome.proven else [RULES_NOT_PROVEN]
        if self._follower.error is not None:
            reasons.append(STATE_UNREADABLE)
        reasons += [f"{SKIPPED}{step.name}" for step in steps if step.skipped]
        answer = Answer(
            user_id=given.request.user_id,
            items=recommendations(loaded.contents, requests, final, attributes, ranked(steps)),
            version=loaded.version,
            reasons=tuple(reasons),
            milliseconds={step.name: 1000 * step.seconds for step in steps},
            state=chosen.state,
            arms=chosen.arms,
            policy=policy_of(loaded.contents, requests),
        )
        self.recording.record(self._loaded, loaded.contents, given, requests, final, answer, wanted)
        if chosen.arms and given.call == "recommend":
            self.shadow.offer(chosen, given.request, answer, wanted)
        self.shadow.left()
        return answer
