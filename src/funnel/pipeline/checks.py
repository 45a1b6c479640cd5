"""What data and config must keep to before a night is spent on them: one set of checks for `train`, `build`,
`demo` and `run`. An error names the check or the key, what was found, and what would be right."""

from __future__ import annotations

import time

import numpy as np

from funnel.artifacts import Store
from funnel.bundle.contents import load_contents
from funnel.catalogue.schemas import load_schema
from funnel.catalogue.where import Filters
from funnel.data import shown_columns
from funnel.data.windows import show
from funnel.errors import BundleError, ConfigError, DataError
from funnel.features import CandidateFeatures, Statistics
from funnel.gates import Arrived, arrived
from funnel.index import check_fits
from funnel.pipeline.prepare import Prepared
from funnel.ranker.calibration import EVENT
from funnel.rules import check_rules
from funnel.settings import LONGEST_LIST
from funnel.stages import check_names

#: Clocks of machines that log events differ by less than this, in seconds.
AHEAD = 86_400


#: Events that are enough to see which features data of this form have.
_SOME = 1000


def check(prepared: Prepared, store: Store | None = None) -> str | None:
    """All of them, the quick ones first. store: of bundles, whose published one new tables are held against.

    Returns the version that the tables were compared with, None for none.
    Raises: DataError for data that would not be taken, ConfigError for settings that these data cannot have.
    """
    check_times(prepared)
    check_config(prepared)
    return None if store is None else check_beside(prepared, store)


def check_config(prepared: Prepared) -> None:
    """Raises: ConfigError for a setting that would end in an error after training, on these data."""
    config, n_items = prepared.config, len(prepared.dataset.items)
    check_fits(config.index, n_items, config.towers.d)
    _check_lists(prepared, n_items)
    _check_rules(prepared)
    _check_value(prepared)
    _check_sources(prepared)
    _check_features(prepared)


def _check_lists(prepared: Prepared, n_items: int) -> None:
    """LightGBM takes lists of so many rows: what is retrieved, and what is appended to it."""
    config = prepared.config
    appended = int(prepared.split.ranker.targets.lengths.max(initial=0))
    if config.ranker.missed == "append" and min(config.retrieve.k, n_items) + appended > LONGEST_LIST:
        raise ConfigError(
            f'ranker.missed is "append": up to {appended:,} positives would be added to retrieve.k = '
            f"{config.retrieve.k:,} rows, and LightGBM takes {LONGEST_LIST:,} at most; lower retrieve.k"
        )


def _check_rules(prepared: Prepared) -> None:
    if prepared.config.rules:
        check_rules(prepared.config.rules, Filters.of(prepared.dataset.items).columns)


def _check_value(prepared: Prepared) -> None:
    """The columns that the expected value reads are there, and numbers."""
    columns = [one.name for one in prepared.dataset.schema.items if one.kind == "number"]
    check_names(prepared.config.rank, [EVENT], columns)


def _check_sources(prepared: Prepared) -> None:
    if prepared.config.retrieve.sources == ("spectral",) and _tiny(prepared).spectral is None:
        raise ConfigError(
            'retrieve.sources is ["spectral"], which these data do not have: it is there for sets without an '
            "order of up to 100,000 items; name others beside it"
        )


def _check_features(prepared: Prepared) -> None:
    """Which columns there are depends on the form of the data, not on how many there are."""
    statistics, towers = _tiny(prepared), prepared.config.towers
    CandidateFeatures(
        prepared.config.features,
        statistics,
        prepared.item_features,
        np.broadcast_to(np.zeros(1, np.float32), (statistics.n_items, towers.d)),
        prepared.user_encoder.specs,
        prepared.item_encoder.specs,
        sources=prepared.config.retrieve.sources,
        shown=shown_columns(prepared.dataset) if prepared.split.protocol == "shown" else (),
    )


def _tiny(prepared: Prepared) -> Statistics:
    """Statistics of the first events alone."""
    known = prepared.split.ranker_known
    some = known.where(np.arange(len(known)) < _SOME)
    return Statistics.fit(some, some)


def check_times(prepared: Prepared) -> None:
    """Raises: DataError naming the first event that is more than a day ahead of now."""
    data = prepared.dataset
    if data.clock != "time":
        return
    late = data.events["time"].to_numpy() > time.time() + AHEAD
    if late.any():
        one = data.events.iloc[int(np.argmax(late))]
        raise DataError(
            f"check `times`: {int(late.sum())} events are in the future, first that of user "
            f"{one['user_id']} and item {one['item_id']} at {show(int(one['time']))}; times are seconds "
            "since 1970, not milliseconds"
        )


def check_beside(prepared: Prepared, store: Store) -> str | None:
    """The gates on tables, before training: the published version that they compared with, None for none.

    Raises: DataError naming each that is closed.
    """
    version = store.published()
    if version is None:
        return None
    try:
        folder = store.path(version)
        published = Arrived.of(load_contents(folder), load_schema(folder))
    except BundleError:
        return None
    data = prepared.dataset
    sizes = {"items": len(data.items), "users": len(data.users), "events": len(data.events)}
    new = Arrived(
        data.schema,
        sizes,
        (prepared.item_features, prepared.item_encoder.specs),
        (prepared.user_features, prepared.user_encoder.specs),
    )
    closed = [one for one in arrived(new, published, prepared.config.gates) if not one.passed]
    if closed:
        lines = [f"  check `{one.gate}`: {one.sentence}" for one in closed]
        raise DataError(
            "\n".join(
                [
                    f"the data would not be published beside {version}, so that nothing is trained on them:",
                    *lines,
                    "if this is meant, raise the threshold under [gates]",
                ]
            )
        )
    return version
