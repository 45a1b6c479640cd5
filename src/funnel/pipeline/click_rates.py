"""How often each item was clicked where it was shown, before the requests of a window."""

from __future__ import annotations

import numpy as np
import pandas as pd

from funnel.errors import DataError
from funnel.features import ClickRates
from funnel.pipeline.prepare import Prepared
from funnel.ranker.propensity import Propensities, estimate_propensities
from funnel.types import Examples, Int32

#: Rows of the log that are read: the latest ones.
MOST_IMPRESSIONS = 20_000_000


def shown_before(prepared: Prepared, part: Examples) -> tuple[pd.DataFrame, Int32]:
    """The rows of the log of impressions that were shown before the first request of a window, the latest
    ones, and the items' rows: int32 [N]."""
    frame = prepared.dataset.impressions
    assert frame is not None
    frame = frame[frame["time"].to_numpy() < part.requests.times.min()].iloc[-MOST_IMPRESSIONS:]
    return frame, prepared.dataset.item_vocabulary.rows(frame["item_id"])


def propensities_of(frame: pd.DataFrame, items: Int32) -> Propensities:
    """How far positions were looked at, see `estimate_propensities`. Raises: DataError where they cannot be
    told."""
    return estimate_propensities(items, frame["position"].to_numpy(), frame["clicked"].to_numpy())


def click_rates(prepared: Prepared, part: Examples) -> ClickRates | None:
    """Of what was shown before the first request of a window. None where nothing was, or no clock says
    when."""
    data = prepared.dataset
    if data.impressions is None or data.clock != "time" or not len(part):
        return None
    frame, items = shown_before(prepared, part)
    if not len(frame):
        return None
    try:
        examined = propensities_of(frame, items).examined(frame["position"].to_numpy())
    except DataError:  # as where an item always stands at one position: all count the same
        examined = np.ones(len(frame))
    clicked, columns = frame["clicked"].to_numpy(), prepared.item_features
    return ClickRates.fit(items, clicked, examined, columns, prepared.item_encoder.specs, len(data.items))
