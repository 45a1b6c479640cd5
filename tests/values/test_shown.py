"""Any value in a message: short, on one line, writable, and without another error."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pandas as pd
import pytest

from funnel.values.shown import shown


class Silent:
    """Fails to describe itself."""

    def __repr__(self) -> str:
        raise RuntimeError


DEEP = functools.reduce(lambda inner, _: [inner], range(50_000), [])
VALUES = [
    10**5_000, "x" * 10**6, ["y" * 1_000] * 1_000, DEEP, Silent(), {"a": Silent()}, "\ud800", b"\xff" * 1_000,
    pd.DataFrame({"a": range(100)}), np.zeros((50, 50)), pd.NA, {i: i for i in range(1_000)},
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_any_value_is_shown(value: Any) -> None:
    text = shown(value)
    text.encode()
    assert "\n" not in text
    assert 0 < len(text) < 500


@pytest.mark.parametrize("value", ["DE", 3, 2.5, None, True, [1, "a"], {"a": 1}, b"x"])
def test_a_short_value_is_shown_as_it_is_written(value: Any) -> None:
    assert shown(value) == repr(value)
