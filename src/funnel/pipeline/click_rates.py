"""How often each item was clicked where it was shown, before the requests of a window."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from funnel.config import Config
from funnel.data.histories import Histories
from funnel.data.shown import CLICK, EARLY, OUTCOME, shown_requests
from funnel.errors import DataError
from funnel.features import ClickRates
from funnel.features.candidates import STANDARD
from funnel.features.click_factors import ClickFactors, request_specs
from funnel.features.fit_click_factors import ShownClicks, fit_click_factors
from funnel.features.recent import REACH, recent
from funnel.pipeline.moments import known_at
from funnel.pipeline.prepare import Prepared, with_users
from funnel.ranker.propensity import Propensities, estimate_propensities
from funnel.types import Examples, Int32, Ragged

#: Rows of the log that are read: the latest ones.
MOST_IMPRESSIONS = 20_000_000

#: And that factors are fitted on, which takes a second for a hundred thousand of them.
MOST_FOR_FACTORS = 5_000_000


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


def click_rates(prepared: Prepared, part: Examples, *, most: int = MOST_FOR_FACTORS) -> ClickRates | None:
    """Of what was shown before the first request of a window. None where nothing was before that of the
    ranker's, which could not learn what they say, or no clock says when. most: impressions that the factors
    are fitted on."""
    data = prepared.dataset
    if data.impressions is None or data.clock != "time" or not len(part):
        return None
    frame, items = shown_before(prepared, part)
    if not len(frame) or not len(shown_before(prepared, prepared.split.ranker)[0]):
        return None
    try:
        propensities = propensities_of(frame, items)
    except DataError:  # as where an item always stands at one position: all count the same
        propensities = Propensities.equal()
    examined = propensities.examined(frame["position"].to_numpy())
    clicked, columns = frame["clicked"].to_numpy(), prepared.item_features
    rates = ClickRates.fit(items, clicked, examined, columns, prepared.item_encoder.specs, len(data.items))
    if not wants_factors(prepared.config):
        return rates
    end = int(part.requests.times.min())
    return replace(rates, factors=_factors(prepared, frame.iloc[-most:], propensities, end))


def wants_factors(config: Config) -> bool:
    """Whether the config names them, or leaves the choice to funnel."""
    return config.features.names == STANDARD or "click_factor" in config.features.groups


def _factors(
    prepared: Prepared, frame: pd.DataFrame, propensities: Propensities, end: int
) -> ClickFactors | None:
    """Of these rows of the log of impressions, and of events before the end."""
    lists = _shown_clicks(prepared, frame, propensities, end)
    moment = {} if prepared.context is None else prepared.context.specs
    moments = request_specs(prepared.user_encoder.specs, moment)
    columns, specs = prepared.item_features, prepared.item_encoder.specs
    return fit_click_factors(lists, columns, specs, moments, seed=prepared.config.seed)


def _shown_clicks(
    prepared: Prepared, frame: pd.DataFrame, propensities: Propensities, end: int
) -> ShownClicks:
    """These rows as lists, each with what was known before it and what came of it before the end."""
    data = prepared.dataset
    log = prepared.config.events.applied(data.log)
    histories = Histories.of(log.where(log.times < end), False)
    alone = replace(data, impressions=frame)
    kinds = prepared.split.kinds
    codes = {} if kinds is None else {name: kinds.code(name) for name in kinds.target_names if name != CLICK}
    start = int(frame["time"].iloc[0]) - EARLY
    lists = shown_requests(alone, histories, start, None, outcomes=codes)
    assert lists.shown is not None
    examples = lists.examples(histories, exclude_seen=False, limit=REACH["time"])
    examples = with_users(examples, prepared.user_features)
    if prepared.context is not None:
        assert data.impressions is not None  # whose rows those of the lists are
        examples = known_at(examples, lists.rows, data.impressions, prepared.context)
    shown, requests = lists.shown, examples.requests
    return ShownClicks(
        requests,
        Ragged(*recent(requests.history, REACH["time"], log.n_items)),
        shown.items,
        shown.columns[OUTCOME + CLICK] > 0,
        propensities.examined(shown.columns["position"].astype(np.int64)),
        {name: shown.columns[OUTCOME + name] > 0 for name in codes},
    )
