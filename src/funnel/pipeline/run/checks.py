"""What data must keep to before a night is spent on them: which check, which row, and what would be right."""

from __future__ import annotations

import time

import numpy as np

from funnel.bundle import Store
from funnel.bundle.contents import load_contents
from funnel.bundle.schemas import load_schema
from funnel.data.windows import show
from funnel.errors import BundleError, DataError
from funnel.gates import Arrived, arrived
from funnel.pipeline.prepare import Prepared

#: Clocks of machines that log events differ by less than this, in seconds.
AHEAD = 86_400


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
