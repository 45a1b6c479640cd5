"""Much that is written in one call, a part at a time: a server must not be held up by one writer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from funnel.errors import BundleError
from funnel.serving.state.once import CallKey, Write

T = TypeVar("T")

#: Items, and events, that a server is given together.
ITEMS, EVENTS = 1_000, 2_000


def of_items(given: Sequence[T], item: Callable[[T], str], write: Callable[[list[T]], object]) -> None:
    """Write changes of items, 1,000 items at a time; all that is said of one is in the same part.

    Raises: BundleError, which says how many were written before it.
    """
    by_item: dict[str, list[T]] = {}
    for change in given:
        by_item.setdefault(item(change), []).append(change)
    items = list(by_item.values())
    for first in range(0, len(items), ITEMS):
        try:
            write([change for some in items[first : first + ITEMS] for change in some])
        except BundleError as error:
            raise _after(first, len(items), "items", error) from error


def of_events(
    given: Sequence[T], key: CallKey | None, what: str, write: Callable[[Sequence[T], Write], bool]
) -> int:
    """Write events, 2,000 at a time, each part once under its name; how many were added. write: whether it
    was not done before.

    Raises: as `of_items`; DataError, where the key was given with others.
    """
    added = 0
    for first in range(0, max(len(given), 1), EVENTS):
        some = given[first : first + EVENTS]
        try:
            added += len(some) * write(some, Write.of(key, what, first // EVENTS))
        except BundleError as error:
            raise _after(first, len(given), "events", error) from error
    return added


def _after(done: int, all_: int, what: str, error: BundleError) -> BundleError:
    return (
        BundleError(f"of {all_:,} {what} the first {done:,} were written; then: {error}") if done else error
    )
