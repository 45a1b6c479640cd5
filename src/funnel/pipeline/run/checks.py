"""What data must keep to before a night is spent on them: which check, which row, and what would be right."""

from __future__ import annotations

from funnel.bundle import Store
from funnel.bundle.contents import load_contents
from funnel.bundle.schemas import load_schema
from funnel.errors import BundleError, DataError
from funnel.gates import Arrived, arrived
from funnel.pipeline.prepare import Prepared


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
