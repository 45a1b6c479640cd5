"""Statistics as known at a moment: counts of events, popularity, and which items go together."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funnel.allow import Allow
from funnel.errors import BundleError, DataError
from funnel.features.arrays import frozen
from funnel.features.counts import EventCounts
from funnel.features.covisitation import fit_covisitation, fit_transitions
from funnel.features.graph_filter import fit_spectral
from funnel.features.kernels import bitmaps, item_lists
from funnel.features.neighbours import Neighbours
from funnel.features.popular import Later, LiveRankings, Rankings
from funnel.features.statistics_file import StatisticsFile
from funnel.order import nothing
from funnel.types import Bool, Clock, Float32, Int32, Int64, Log, Ragged

#: Windows are these parts of the log's span, so that they fit a log of a week and one of a decade.
FRACTIONS = (256, 64, 16, 4)

#: Popularity is that at the start of such a stretch, or of a shorter one where the log is short.
DAY = 86_400


class Statistics:
    """Counts at any moment and neighbour lists, for features and sources.

    clock, n_items: of the log. windows: in seconds, ascending, ending with None = everything before; only
    (None,) where the log has no clock. covisitation: see `fit_covisitation`. transitions: see
    `fit_transitions`, None where the log has no order. spectral: see `fit_spectral`, None where it has one.
    fitted_items: the size of the catalogue that it was fitted on; means are over these, so that an item
    which comes later changes no feature of another. by_kind: counts of each kind of event, none where events
    are of one. Reading while another thread calls `observe` is safe.
    """

    def __init__(
        self,
        clock: Clock,
        windows: Sequence[int | None],
        events: EventCounts,
        covisitation: Neighbours,
        transitions: Neighbours | None,
        spectral: Neighbours | None = None,
        by_kind: Sequence[EventCounts] = (),
    ) -> None:
        self.clock = clock
        self.windows = tuple(windows)
        self.covisitation = covisitation
        self.transitions = transitions
        self.spectral = spectral
        self.fitted_items = len(events.offsets) - 1
        self.events = events
        #: One second after the last fitted event: the moment of a request without one; 0 without a clock.
        self.end = events.end
        self.by_kind = tuple(by_kind)
        self.rankings: Rankings = Rankings(events)
        self._step = max(1, min([DAY, *(window * 4 for window in self.windows if window is not None)]))

    @classmethod
    def fit(
        cls,
        known: Log,
        matrices: Log,
        *,
        windows: Sequence[int | None] | None = None,
        negatives: Log | None = None,
        folder: Path | None = None,
    ) -> Statistics:
        """From the events that may be counted, each request up to its own time, and those to fit pairs on.

        known: where the log has a clock, every event: the counts stop at the request's time; else the events
        that every request may know. matrices: events before every request. windows: default parts of the
        known log's span, which is all that is taken from its later part. negatives: events that say no, which
        count as such and as no others. folder: where pairs are written while they are counted, and mapped
        from, which `save` then leaves there; None: all is in memory.
        Raises DataError when the two logs are not of one catalogue.
        """
        if (known.n_items, known.clock) != (matrices.n_items, matrices.clock):
            raise DataError(
                f"known has {known.n_items} items and clock {known.clock!r}, matrices has {matrices.n_items} "
                f"and {matrices.clock!r}: both must come from one log"
            )
        times = known.times if known.clock == "time" else np.full(len(known), -1, dtype=np.int64)
        events = EventCounts.build(known.items, times, known.n_items)
        if windows is None:
            windows = _windows(times) if known.clock == "time" else (None,)
        pairs = fit_covisitation(matrices, folder=folder)
        steps = fit_transitions(matrices, folder=folder)
        of_kinds = [known] if negatives is None else [known, negatives]
        by_kind = [_of_code(of_kinds, code) for code in range(len(known.kind_names))]
        return cls(known.clock, windows, events, pairs, steps, fit_spectral(matrices, folder=folder), by_kind)

    @property
    def n_items(self) -> int:
        """Size of the catalogue."""
        return self.covisitation.n_items

    @property
    def recent_window(self) -> int | None:
        """The window of "popular now": a sixteenth of the span; None without a clock."""
        seconds = [window for window in self.windows if window is not None]
        return seconds[len(seconds) // 2] if seconds else None

    def as_of(self, times: Int64) -> Int64:
        """Request times as the counts take them: as they are, or one and the same without a clock."""
        return times if self.clock == "time" else np.zeros_like(times)

    def counts(self, items: Int32, times: Int64, window: int | None = None) -> Int32:
        """Events of each item with time − window ≤ t < time: int32, shape of items; −1 counts 0.

        times: int64, broadcast to items. Without a clock all that is known counts, whatever the times.
        """
        times = np.broadcast_to(self.as_of(np.asarray(times)), np.shape(items))
        return self.events.count(items, times, [window])[..., 0]

    def unseen(self, items: Int32, times: Int64) -> Bool:
        """Whether an item had no event before `times`: bool, shape of items; times: int64, broadcast to them.

        True at −1.
        """
        moments = self.as_of(times)
        if moments.shape != items.shape:
            moments = np.broadcast_to(moments, items.shape)
        return self.events.none_before(items, moments)

    def first_seen(self, items: Int32) -> Int64:
        """Time of each item's first known event; the largest int64 where there is none.

        It may lie after a request: compare it with the request's time before it is used.
        """
        return self.events.edges(items, np.full(np.shape(items), np.iinfo(np.int64).max))[0]

    def last_seen(self, items: Int32, times: Int64) -> Int64:
        """Time of each item's last event strictly before `times`; the smallest int64 where there is none."""
        return self.events.edges(items, np.broadcast_to(self.as_of(np.asarray(times)), np.shape(items)))[1]

    def popular(self, time: int, k: int, window: int | None = None) -> Int32:
        """At most k item rows, most events in the window before `time` first, ties by row.

        The same as `most_popular` for one request; see there how time is cut.
        """
        rows, _ = self.most_popular(np.array([time], dtype=np.int64), k, window)
        return rows[0][rows[0] >= 0]

    def most_popular(
        self,
        times: Int64,
        k: int,
        window: int | None = None,
        *,
        exclude: Ragged | None = None,
        allow: Allow | None = None,
    ) -> tuple[Int32, Float32]:
        """The k items with most events for each request: rows int32 [B, k], counts float32 [B, k].

        Descending, ties by row; −1 and −inf where fewer than k items have an event. Counted up to the start
        of the request's UTC day, or of a shorter stretch (a 64th of the log) where the log spans less than 64
        days, so that requests of a day share one ranking; what happened later that day is not known. Without
        a clock it is that of the fitted events.
        Items of `exclude` are skipped, and those that `allow` leaves out.
        """
        rows, scores = nothing(len(times), k)
        excluded, allowed = item_lists(exclude, len(times)), bitmaps(allow)
        starts, rankings = self._floor(times), self.rankings
        for start in sorted(set(starts.tolist())):
            members = frozen((starts == start).nonzero()[0])
            rankings.at(start, window, len(members)).pick(members, excluded, allowed, rows, scores)
        return rows, scores

    def ranked_counts(self, items: Int32, times: Int64, window: int | None = None) -> Int32:
        """Events of items [B, K] as `most_popular` counts them for requests [B]: int32 [B, K]."""
        moments = np.broadcast_to(self._floor(times)[:, None], items.shape)
        return self.events.count(items, moments, [window], cut=True)[..., 0]

    def observe(self, items: NDArray[Any], times: NDArray[Any]) -> None:
        """Count new events, in the order in which they came; one thread at a time. See `EventCounts` for the
        moments that they count at, and `Observed` for what one costs. Pairs stay as they were fitted.

        items: rows; those outside the catalogue are ignored. times: seconds.
        """
        self.events.observed.add(np.atleast_1d(items), np.atleast_1d(times))

    def observe_kinds(self, items: NDArray[Any], times: NDArray[Any], kinds: NDArray[Any]) -> None:
        """Count new events among those of their kind, also such as say no. kinds: codes, −1 for one that is
        not known. For the rest see `observe`."""
        for code, events in enumerate(self.by_kind):
            events.observed.add(items[kinds == code], times[kinds == code])

    def serving(self, n_items: int, later: Later | None = None) -> Statistics:
        """The same with nothing observed, for a catalogue of n_items: further ones have no events and no
        neighbours yet. It shares every array, at no cost by the number of items.

        later: has something done in the background; with it no call of `most_popular` waits for the ranking
        of another moment than the end of what was fitted, see `LiveRankings`. None: each is exact.
        """
        lists, steps = self.covisitation.extended(n_items), self.transitions
        spectral = None if self.spectral is None else self.spectral.extended(n_items)
        events = self.events.serving(n_items)
        by_kind = [counts.serving(n_items) for counts in self.by_kind]
        served = Statistics(
            self.clock, self.windows, events, lists, steps and steps.extended(n_items), spectral, by_kind
        )
        if later is not None:
            last = int(self._floor(np.array([self.end], dtype=np.int64))[0])
            served.rankings = LiveRankings(events, self.rankings, last, later)
        return served

    def save(self, folder: Path) -> None:
        """Write arrays as `.npy` and the rest as `statistics.json`; what was observed is not in it."""
        folder.mkdir(parents=True, exist_ok=True)
        self.events.with_end(self.windows).save(folder)
        about: dict[str, Any] = {"clock": self.clock, "windows": self.windows, "neighbours": {}}
        about["at_end"] = True
        if self.by_kind:
            about["kinds"] = len(self.by_kind)
        for code, events in enumerate(self.by_kind):
            events.save(folder, f"events.{code}")
        for name in ("covisitation", "transitions", "spectral"):
            lists: Neighbours | None = getattr(self, name)
            if lists is not None:
                lists.save(folder, name)
                about["neighbours"][name] = {"decay": lists.decay, "reach": lists.reach}
        (folder / "statistics.json").write_text(json.dumps(about, indent=1, sort_keys=True))

    @classmethod
    def load(cls, folder: Path) -> Statistics:
        """What `save` wrote, memory-mapped. Raises BundleError when a part is missing or damaged."""
        about = StatisticsFile.load(folder / "statistics.json")
        lists = {
            name: Neighbours.load(folder, name, decay=lists_of.decay, reach=lists_of.reach)
            for name, lists_of in about.neighbours.items()
        }
        events = EventCounts.load(folder, windows=about.windows if about.at_end else None)
        loaded = cls(
            about.clock, about.windows, events, lists["covisitation"],
            lists.get("transitions"), lists.get("spectral"),
            [EventCounts.load(folder, f"events.{code}") for code in range(about.kinds)],
        )  # fmt: skip
        loaded._check_sizes(folder)
        return loaded

    def _check_sizes(self, folder: Path) -> None:
        """Raises: BundleError when the parts are of catalogues of different sizes."""
        sizes = {"events": len(self.events.offsets) - 1}
        sizes |= {f"events.{code}": len(counts.offsets) - 1 for code, counts in enumerate(self.by_kind)}
        if self.transitions is not None:
            sizes["transitions"] = self.transitions.n_items
        if self.spectral is not None:
            sizes["spectral"] = self.spectral.n_items
        for name, size in sizes.items():
            if size != self.n_items:
                raise BundleError(
                    f"{folder}: {name} is of {size} items, covisitation of {self.n_items}: "
                    "they must be of one catalogue; build the bundle again"
                )

    def _floor(self, times: Int64) -> Int64:
        if self.clock != "time":
            return np.zeros_like(times)
        return times // self._step * self._step


def _of_code(logs: Sequence[Log], code: int) -> EventCounts:
    """The counts of one kind."""
    parts = [log.where(log.of_code(code)) for log in logs]
    items = np.concatenate([part.items for part in parts])
    times = np.concatenate([part.times for part in parts])
    times = times if parts[0].clock == "time" else np.full(len(items), -1, dtype=np.int64)
    return EventCounts.build(items, times, parts[0].n_items)


def _windows(times: Int64) -> tuple[int | None, ...]:
    span = int(times.max() - times.min()) if len(times) else 0
    return (*(max(1, span // fraction) for fraction in FRACTIONS), None)
