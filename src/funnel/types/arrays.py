"""What the arrays and columns are called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Int8: TypeAlias = NDArray[np.int8]
Int32: TypeAlias = NDArray[np.int32]
Int64: TypeAlias = NDArray[np.int64]
Float32: TypeAlias = NDArray[np.float32]
Float64: TypeAlias = NDArray[np.float64]
Bool: TypeAlias = NDArray[np.bool_]

#: Encoded columns of a table, all with the same first dimension. See `funnel.features.encoders`.
Features: TypeAlias = Mapping[str, NDArray[Any]]

#: What orders the events: real time, the order within a user's list, or nothing (a set).
Clock: TypeAlias = Literal["time", "order", "none"]
