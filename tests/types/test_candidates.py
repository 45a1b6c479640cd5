"""What is left of the catalogue: whatever is known of an item goes with it, in every form of reordering."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from funnel.types import Candidates

ITEMS = np.array([[4, 2, 9, -1], [7, 1, 3, 5]], dtype=np.int32)


def known() -> Candidates:
    """Everything that is known of an item is its row: its score, its sources', and that of a head."""
    scores = np.where(ITEMS < 0, -np.inf, ITEMS).astype(np.float32)
    return Candidates(
        ITEMS.copy(), scores, ("one",), scores[..., None].copy(), ITEMS[..., None].copy(),
        head_scores={"click": scores.copy()},
    )  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        lambda of: of.ranked_by(np.array([[1, 5, 3, 0], [1, 2, 9, 4]], dtype=np.float32)),
        lambda of: of.reorder(np.array([[2, 0], [3, 1]])),
        lambda of: of.top(2),
        lambda of: of.take(np.array([1])),
        lambda of: of.keep(of.items % 2 == 1),
    ],
)
def test_what_is_known_of_an_item_stays_with_it(change: Callable[[Candidates], Candidates]) -> None:
    changed = change(known())
    there = changed.filled
    np.testing.assert_array_equal(changed.head_scores["click"][there], changed.items[there])
    np.testing.assert_array_equal(changed.source_scores[..., 0][there], changed.items[there])
    np.testing.assert_array_equal(changed.source_ranks[..., 0][there], changed.items[there])


def test_a_negative_column_is_an_empty_position() -> None:
    changed = known().reorder(np.array([[2, -1], [-1, -1]]))
    np.testing.assert_array_equal(changed.items, [[9, -1], [-1, -1]])
    np.testing.assert_array_equal(changed.scores, [[9, -np.inf], [-np.inf, -np.inf]])
    np.testing.assert_array_equal(changed.source_ranks[..., 0], [[9, -1], [-1, -1]])
    np.testing.assert_array_equal(np.isnan(changed.source_scores[..., 0]), changed.items < 0)
