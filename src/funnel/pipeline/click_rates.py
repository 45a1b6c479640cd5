"""How often each item was clicked where it was shown, before the requests of a window."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from funnel.config import Config
from funnel.data.attribution import CLICK, EARLY, OUTCOME
from funnel.data.histories import Histories
from funnel.data.shown import first_row_at, shown_requests
from funnel.errors import DataError
from funnel.features import ClickRates
from funnel.features.candidates import STANDARD
from funnel.features.click_factors import ClickFactors, request_specs
from funnel.features.fit_click_factors import ShownClicks, fit_click_factors
from funnel.features.recent import REACH, recent
from funnel.pipeline.moments import known_at
from funnel.pipeline.prepare import Prepared, with_users
from funnel.ranker.propensity import Propensities, estimate_propensities
from funnel.types import Bool, Examples, Int32, Ragged

#: Rows of the log that are read: the latest ones.
MOST_IMPRESSIONS = 20_000_000

#: And that factors are fitted on, which takes a second for a hundred thousand of them.
MOST_FOR_FACTORS = 5_000_000


class LoggedRows(NamedTuple):
    """Rows of the log of impressions. items: int32 [N], −1 for one that is not known. positions: int32 [N].
    clicked: bool [N]."""

    items: Int32
    positions: Int32
    clicked: Bool


def rows_before(prepared: Prepared, part: Examples) -> slice:
    """The rows of the log of impressions that were shown before the first request of a window, the latest
    ones."""
    table = prepared.dataset.impression_table
    assert table is not None
    end = first_row_at(table, int(part.requests.times.min()))
    return slice(max(0, end - MOST_IMPRESSIONS), end)


def shown_before(prepared: Prepared, part: Examples) -> LoggedRows:
    """What is in these rows."""
    data, table, rows = prepared.dataset, prepared.dataset.impression_table, rows_before(prepared, part)
    assert table is not None
    return LoggedRows(data.items_of(table, rows), table.array("position", rows), table.array("clicked", rows))


def propensities_of(rows: LoggedRows) -> Propensities:
    """How far positions were looked at, see `estimate_propensities`. Raises: DataError where they cannot be
    told."""
    return estimate_propensities(*rows)


def click_rates(prepared: Prepared, part: Examples, *, most: int = MOST_FOR_FACTORS) -> ClickRates | None:
    """Of what was shown before the first request of a window. None where nothing was before that of the
    ranker's, which could not learn what they say, or no clock says when. most: impressions that the factors
    are fitted on."""
    data = prepared.dataset
    if data.impression_table is None or data.clock != "time" or not len(part):
        return None
    items, positions, clicked = rows = shown_before(prepared, part)
    if not len(items) or not len(shown_before(prepared, prepared.split.ranker).items):
        return None
    try:
        propensities = propensities_of(rows)
    except DataError:  # as where an item always stands at one position: all count the same
        propensities = Propensities.equal()
    examined = propensities.examined(positions)
    columns, specs = prepared.item_features, prepared.item_encoder.specs
    rates = ClickRates.fit(items, clicked, examined, columns, specs, len(data.items))
    if not wants_factors(prepared.config):
        return rates
    before, end = rows_before(prepared, part), int(part.requests.times.min())
    latest = slice(max(before.start, before.stop - most), before.stop)
    return replace(rates, factors=_factors(prepared, latest, propensities, end))


def wants_factors(config: Config) -> bool:
    """Whether the config names them, or leaves the choice to funnel."""
    return config.features.names == STANDARD or "click_factor" in config.features.groups


def _factors(prepared: Prepared, rows: slice, propensities: Propensities, end: int) -> ClickFactors | None:
    """Of these rows of the log of impressions, and of events before the end."""
    lists = _shown_clicks(prepared, rows, propensities, end)
    moment = {} if prepared.context is None else prepared.context.specs
    moments = request_specs(prepared.user_encoder.specs, moment)
    columns, specs = prepared.item_features, prepared.item_encoder.specs
    return fit_click_factors(lists, columns, specs, moments, seed=prepared.config.seed)


def _shown_clicks(prepared: Prepared, rows: slice, propensities: Propensities, end: int) -> ShownClicks:
    """These rows as lists, each with what was known before it and what came of it before the end."""
    data, table, kinds = prepared.dataset, prepared.dataset.impression_table, prepared.split.kinds
    assert table is not None
    log = prepared.config.events.applied(data.log)
    histories = Histories.of(log.where(log.times < end), False)
    codes = {} if kinds is None else {name: kinds.code(name) for name in kinds.target_names if name != CLICK}
    since = int(table.array("time", slice(rows.start, rows.start + 1))[0]) - EARLY
    lists = shown_requests(data, histories, since, None, outcomes=codes, within=rows)
    assert lists.shown is not None
    examples = lists.examples(histories, exclude_seen=False, limit=REACH["time"])
    examples = with_users(examples, prepared.user_features)
    if prepared.context is not None:
        examples = known_at(examples, lists.rows, table, prepared.context)
    shown, requests = lists.shown, examples.requests
    return ShownClicks(
        requests,
        Ragged(*recent(requests.history, REACH["time"], log.n_items)),
        shown.items,
        shown.columns[OUTCOME + CLICK] > 0,
        propensities.examined(shown.columns["position"].astype(np.int64)),
        {name: shown.columns[OUTCOME + name] > 0 for name in codes},
    )
