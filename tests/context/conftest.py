"""The shop, built once."""

from __future__ import annotations

import pytest

from tests.context.shop import Shop, built_shop
from tests.once import once


@pytest.fixture(scope="session")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A published bundle of the shop. Do not change its store."""
    return once(tmp_path_factory, "context-shop", built_shop)
