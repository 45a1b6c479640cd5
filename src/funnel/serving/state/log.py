"""What changes while bundles serve, as every process of a store knows it: one log, in one order.

`SqliteLog` is for one machine, `RedisLog` and `PostgresLog` are for several; whatever else keeps to
`StateLog` can take their place.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

from funnel.values.ids import digest as digest

if TYPE_CHECKING:
    from funnel.serving.state.impressions import ImpressionLog
    from funnel.serving.state.once import CallKey


class Event(NamedTuple):
    """A user interacted with an item. time: seconds; None is now. kind: such as "click"; None where nobody
    said it. value: such as a price; None likewise. answer: the id of the answer that showed the item."""

    user_id: Any
    item_id: Any
    time: int | None = None
    kind: str | None = None
    value: float | None = None
    answer: str | None = None


class ItemChange(NamedTuple):
    """What is known of an item beside the bundle.

    item_id: in writing. item: its columns as plain values, None where they are the bundle's. time: seconds,
    of the last change.
    """

    item_id: str
    item: dict[str, Any] | None
    deleted: bool
    time: float


class Patch(NamedTuple):
    """One column of an item that was changed since its `ItemChange`, or since the bundle."""

    item_id: str
    column: str
    value: Any
    time: float


class Counted(NamedTuple):
    """An event by its place in the log, `number`, as counts of items take it, and what copies the log. kind,
    value, answer: see `Event`."""

    number: int
    user: str
    item_id: str
    time: int
    kind: str | None = None
    value: float | None = None
    answer: str | None = None


class Forgotten(NamedTuple):
    """Somebody who is not to be known by what bundles older than `time` have. user: see `digest`."""

    user: str
    time: float


class Changes(NamedTuple):
    """What is known of all that changed behind one place of the log. number: the new place."""

    number: int
    items: list[ItemChange]
    patches: list[Patch]
    forgotten: list[Forgotten]


@runtime_checkable
class StateLog(Protocol):
    """Keeps events of users and changes of items for all who open it.

    What a call that writes has returned from, every later call of any process finds; what it refused, none.
    Every method raises BundleError when the log is damaged, cannot be read or cannot be written; then nothing
    was changed. A log on a server writes more than 1,000 items, or 2,000 events, in parts, each of which is
    whole, all that is said of one item in the same; where one is refused, the error says how many there are
    before it, and the call may be made again. Ids are in writing, see `written`. Safe to use from several
    threads, and after a fork.
    """

    def position(self) -> tuple[int, Hashable]:
        """Another value whenever anybody wrote; asked before each request, so it has to be cheap. The first
        part is another one when the log was replaced by another: places in it mean nothing then."""

    def now(self) -> float:
        """Seconds since 1970, by the clock that all who share the log go by: what has no time of its own is
        given this one."""

    def observe(self, events: Sequence[Event], key: CallKey | None = None) -> int:
        """Add events, which have a time, in this order. key: what was added under it within a day is not
        added again. Returns how many were added: all, or none under such a key. Raises: DataError when it was
        given with other events, whose times do not matter."""

    def events_of(self, user: str, most: int) -> list[Event]:
        """The newest events of a user, oldest first."""

    def events_of_each(self, users: Sequence[str], most: int) -> list[list[Event]]:
        """The same for each of several users."""

    def events_after(self, number: int, most: int) -> list[Counted]:
        """The next events behind a place in the log, in their order; fewer than `most` are all there are."""

    def upsert(self, items: Mapping[str, dict[str, Any]], time: float) -> None:
        """Items have these columns, and are not deleted; what was known of them is gone, patches too."""

    def patch(self, patches: Sequence[Patch]) -> None:
        """Columns of items have these values."""

    def delete(self, item_ids: Sequence[str], time: float) -> None:
        """Items are deleted; their columns stay known, for the histories that they are in. Whoever reads of a
        deletion reads all that is known of the item, patches of before too."""

    def forget_items(self, item_ids: Sequence[str], time: float) -> None:
        """Items are as the bundle has them."""

    def changes_after(self, number: int) -> Changes:
        """All that is known of what changed behind a place in the log."""

    def forget_user(self, user: str, time: float) -> int:
        """Remove a user's events, and remember that bundles older than `time` are not to be asked about them;
        how many events there were."""

    def retain(self, *, events_before: int | None, changes_before: float, forgotten_before: float) -> None:
        """Remove what nobody needs: events of an earlier time (None: observed before `changes_before`),
        earlier changes, and who was forgotten before a moment, which is not after `changes_before`."""

    def sizes(self) -> dict[str, int]:
        """How much of each kind there is, and bytes."""

    def impressions(self) -> ImpressionLog | None:
        """What users were shown, beside it; None: it lies in a file of the store's folder."""

    def close(self) -> None:
        """Give back what it holds; it is opened again when it is used again."""
