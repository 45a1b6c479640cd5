"""What is no value, and how an error names one."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from funnel.values.shown import shown


def is_missing(value: Any) -> bool:
    """Whether a single value is None, NaN, NA or NaT, of whatever library."""
    if value is None or value is pd.NA or value is pd.NaT:
        return True
    if isinstance(value, float | np.floating):
        return bool(np.isnan(value))
    if isinstance(value, np.datetime64 | np.timedelta64):
        return bool(np.isnat(value))
    return isinstance(value, Decimal) and value.is_nan()


def quoted(value: Any) -> str:
    """A value as an error names it: as Python writes it, without NumPy's types, and not for long."""
    return shown(value.item() if isinstance(value, np.generic) else value)[:60]
