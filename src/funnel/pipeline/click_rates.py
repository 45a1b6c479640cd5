"""How often each item was clicked where it was shown, before the requests of a window."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from funnel.errors import DataError
from funnel.features import ClickRates
from funnel.pipeline.prepare import Prepared
from funnel.ranker.propensity import Propensities, estimate_propensities
from funnel.types import Bool, Examples, Int32

#: Rows of the log that are read: the latest ones.
MOST_IMPRESSIONS = 20_000_000


class LoggedRows(NamedTuple):
    """Rows of the log of impressions. items: int32 [N], −1 for one that is not known. positions: int32 [N].
    clicked: bool [N]."""

    items: Int32
    positions: Int32
    clicked: Bool


def shown_before(prepared: Prepared, part: Examples) -> LoggedRows:
    """The rows of the log of impressions that were shown before the first request of a window, the latest
    ones."""
    data, table = prepared.dataset, prepared.dataset.impression_table
    assert table is not None
    before = np.flatnonzero(table.array("time") < part.requests.times.min())[-MOST_IMPRESSIONS:]
    return LoggedRows(
        data.items_of(table, before), table.array("position", before), table.array("clicked", before)
    )


def propensities_of(rows: LoggedRows) -> Propensities:
    """How far positions were looked at, see `estimate_propensities`. Raises: DataError where they cannot be
    told."""
    return estimate_propensities(*rows)


def click_rates(prepared: Prepared, part: Examples) -> ClickRates | None:
    """Of what was shown before the first request of a window. None where nothing was, or no clock says
    when."""
    data = prepared.dataset
    if data.impression_table is None or data.clock != "time" or not len(part):
        return None
    items, positions, clicked = rows = shown_before(prepared, part)
    if not len(items):
        return None
    try:
        examined = propensities_of(rows).examined(positions)
    except DataError:  # as where an item always stands at one position: all count the same
        examined = np.ones(len(items))
    columns, specs = prepared.item_features, prepared.item_encoder.specs
    return ClickRates.fit(items, clicked, examined, columns, specs, len(data.items))
