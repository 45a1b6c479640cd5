"""What is known of a place in the list that was shown."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from funnel.features import CandidateFeatures, FeaturesConfig, Statistics
from funnel.types import Candidates, Ragged, Requests, Shown

from .worlds import make_log

LOG = make_log()
STATISTICS = Statistics.fit(LOG, LOG)


def features() -> CandidateFeatures:
    return CandidateFeatures(
        FeaturesConfig(names=("shown",)), STATISTICS, {}, None, {}, {}, shown=("position", "price")
    )


def ask() -> Requests:
    history = Ragged.from_lists([[9, 3, 50], []])
    shown = Shown(
        Ragged.from_lists([[4, 9, 7, 3], [1, 2]]),
        {
            "position": np.array([0, 1, 2, 3, 0, 1], np.float32),
            "price": np.array([10, 30, np.nan, 20, 5, 5], np.float32),
        },
    )
    times = Ragged(np.arange(3), history.offsets)
    return Requests(np.array([0, 1], np.int32), np.full(2, 10**8), history, times, shown=shown)


def candidates(rows: list[list[int]]) -> Candidates:
    items = np.array(rows, np.int32)
    none = np.empty((*items.shape, 0), np.float32)
    return Candidates(items, np.zeros(items.shape, np.float32), (), none, none.astype(np.int32))


def test_values_stand_beside_those_of_the_whole_list() -> None:
    """Also where a candidate was dropped on the way, and in whatever order they come."""
    columns = features()
    matrix = columns.matrix(ask(), candidates([[3, 4, 7, -1], [2, 1, -1, -1]]))
    got = {name.removeprefix("shown."): matrix[:, :, n] for n, name in enumerate(columns.names)}
    nan = np.nan
    np.testing.assert_array_equal(got["price.value"], [[20, 10, nan, nan], [5, 5, nan, nan]])
    np.testing.assert_array_equal(got["price.less"], [[1, 0, nan, nan], [0, 0, nan, nan]])
    np.testing.assert_array_equal(got["price.ratio"], [[1, 0.5, nan, nan], [1, 1, nan, nan]])
    np.testing.assert_array_equal(got["position.value"], [[3, 0, 2, nan], [1, 0, nan, nan]])
    # The newest item of the history that is in the list is 3, at place 3.
    np.testing.assert_array_equal(got["after_met"], [[0, -3, -1, nan], [nan, nan, nan, nan]])


def test_without_a_list_everything_is_missing_and_without_columns_nothing_is_there() -> None:
    matrix = features().matrix(replace(ask(), shown=None), candidates([[3], [2]]))
    assert np.isnan(matrix).all()
    whole = CandidateFeatures(FeaturesConfig(), STATISTICS, {}, None, {}, {})
    assert not [name for name in whole.names if name.startswith("shown")]
