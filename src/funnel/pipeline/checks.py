"""Checks of data and config before hours are spent on training: for `train`, `build`, `demo` and `run`.

An error names the check or the key of the config, the value, and what would be right.
"""

from __future__ import annotations

import time

import numpy as np

from funnel.artifacts import Store
from funnel.bundle.contents import given_groups, load_contents
from funnel.catalogue import moment
from funnel.catalogue.schemas import load_schema
from funnel.catalogue.where import Filters
from funnel.data import shown_columns
from funnel.data.windows import show
from funnel.errors import BundleError, ConfigError, DataError
from funnel.features import CandidateFeatures, Statistics
from funnel.gates import Arrived, arrived
from funnel.index import check_fits
from funnel.pipeline.click_rates import click_rates
from funnel.pipeline.logged import head_names
from funnel.pipeline.prepare import Prepared
from funnel.pipeline.value_heads import value_names
from funnel.rules import check_rules
from funnel.settings import LONGEST_LIST
from funnel.stages import check_names
from funnel.types import Log

#: Seconds by which an event may be in the future: clocks of machines that log events differ by less.
AHEAD = 86_400

#: So many events are enough to see which features the data give.
_SOME = 1000


def check(prepared: Prepared, store: Store | None = None) -> str | None:
    """Run all checks, the quick ones first.

    store: of bundles; the new tables are compared with those of its published bundle.
    Returns the version that the tables were compared with, None for none.
    Raises: DataError for data that a gate would refuse, ConfigError for settings that do not fit the data.
    """
    check_times(prepared)
    check_config(prepared)
    return None if store is None else check_beside(prepared, store)


def check_config(prepared: Prepared) -> None:
    """Raises: ConfigError for a setting that would fail on these data only after training."""
    config, n_items = prepared.config, len(prepared.dataset.items)
    check_fits(config.index, n_items, config.towers.d)
    _check_lists(prepared, n_items)
    _check_where(prepared)
    _check_rules(prepared)
    _check_value(prepared)
    _check_sources(prepared)
    _check_features(prepared)


def _check_where(prepared: Prepared) -> None:
    """Raises: ConfigError for a filter that always holds and cannot, or lets no item pass."""
    where, context = prepared.config.retrieve.where, prepared.context
    if where is None:
        return
    try:
        names = moment.named(where)
        moment.check_named(names, [] if context is None else list(context.table.specs))
        values = {} if context is None else {**dict.fromkeys(context.numbers, 0.0), **context.example()}
        bits = Filters.of(prepared.dataset.items).compile(moment.resolved(where, values))
    except ConfigError as error:
        raise ConfigError(f"retrieve.where: {error}") from error
    if not names and not bits.any():
        raise ConfigError(f"retrieve.where: no item of these data passes {where!r}")


def _check_lists(prepared: Prepared, n_items: int) -> None:
    """Raises: ConfigError where lists with appended positives may be longer than LightGBM takes."""
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
    if prepared.config.rank.value is None:
        return
    columns = [column.name for column in prepared.dataset.schema.items if column.kind == "number"]
    moment = () if prepared.context is None else prepared.context.numbers
    check_names(prepared.config.rank, head_names(prepared), columns, moment, value_names(prepared))


def _check_sources(prepared: Prepared) -> None:
    if prepared.config.retrieve.sources == ("spectral",) and _tiny(prepared).spectral is None:
        raise ConfigError(
            'retrieve.sources is ["spectral"], which these data do not have: it is there for sets without an '
            "order of up to 100,000 items; name others beside it"
        )


def _check_features(prepared: Prepared) -> None:
    """Raises: ConfigError for features that these data do not give, which a few events are enough to see."""
    statistics, towers = _tiny(prepared), prepared.config.towers
    context, clicks = prepared.context, click_rates(prepared, prepared.split.ranker, most=_SOME)
    CandidateFeatures(
        prepared.config.features.beside(*given_groups(context, prepared.split.kinds, clicks)),
        statistics,
        prepared.item_features,
        np.broadcast_to(np.zeros(1, np.float32), (statistics.n_items, towers.d)),
        prepared.user_encoder.specs,
        prepared.item_encoder.specs,
        sources=prepared.config.retrieve.sources,
        shown=shown_columns(prepared.dataset) if prepared.split.protocol == "shown" else (),
        kinds=prepared.split.kinds,
        moment_specs={} if context is None else context.specs,
        rates=prepared.rates(_some(prepared.split.ranker_statistics)),
        click_rates=clicks,
    )


def _tiny(prepared: Prepared) -> Statistics:
    """Statistics of the first events only."""
    some = _some(prepared.split.ranker_known)
    return Statistics.fit(some, some)


def _some(log: Log) -> Log:
    return log.first(_SOME)


def check_times(prepared: Prepared) -> None:
    """Raises: DataError naming the first event that is more than a day ahead of now."""
    data = prepared.dataset
    if data.clock != "time":
        return
    ahead = data.event_table.array("time") > time.time() + AHEAD
    if ahead.any():
        row = int(np.argmax(ahead))
        first = data.event_table.frame(slice(row, row + 1)).iloc[0]
        raise DataError(
            f"check `times`: {int(ahead.sum())} events are in the future, first that of user "
            f"{first['user_id']} and item {first['item_id']} at {show(int(first['time']))}; times are "
            "seconds since 1970, not milliseconds"
        )


def check_beside(prepared: Prepared, store: Store) -> str | None:
    """Run the gates on tables before training. Returns the published version that they compared with.

    None where there is no published bundle to compare with. Raises: DataError naming each gate that failed.
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
    sizes = {"items": len(data.items), "users": len(data.users), "events": len(data.event_table)}
    new = Arrived(
        data.schema,
        sizes,
        (prepared.item_features, prepared.item_encoder.specs),
        (prepared.user_features, prepared.user_encoder.specs),
    )
    failed = [finding for finding in arrived(new, published, prepared.config.gates) if not finding.passed]
    if failed:
        lines = [f"  check `{finding.gate}`: {finding.sentence}" for finding in failed]
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
