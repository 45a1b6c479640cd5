"""One answer as it is logged, and the JSON line that it is written as: nothing else knows that form.

`items` is a list of ids, or base64 of little-endian int32 where all ids are such numbers: half the bytes.
`scores` and `propensities` are base64 of little-endian float32. A key whose value is the usual one is
absent. Keys that a later funnel writes are read over.
"""

from __future__ import annotations

import json
import sys
from array import array
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funnel.errors import DataError
from funnel.types import Float32

_NOTHING: Mapping[str, Any] = {}
_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False)
_PLAIN = (
    "state", "call", "arms", "weights", "teams", "context", "where", "policy", "reasons", "ms", "request",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Impression:
    """One answer, and what it was chosen from.

    id: `Answer.id`. time: seconds since 1970, when it was answered. user: as the caller named it; None for
    nobody. version, state: as in `Answer`. k: items that were wanted.
    items: ids of the first candidates in front of re-ranking, in their order, and behind them what was shown
    from further down. scores: float32 [items], NaN where the stage in front of re-ranking had none. shown:
    for each position, where its item stands in `items`. propensities: for each position the chance of its
    item, given what stands above it, of float32; None where nothing was left to chance, which is 1 each.
    call: "recommend", "rank" or "similar". arms: by experiment. weights: by experiment whose shares move, the
    number of the period and the share that the arm had, which is the chance that the user had of it. teams:
    of an interleaved list, for each position the arm that put its item in: 0 the control, 1 the other, -1
    both. context, where: as they were given. policy: what was drawn by. seed: that the caller gave, in place
    of chance; None for most. reasons, ms: as in `Answer`. request: what else makes the answer again; None for
    most.
    """

    id: str
    time: float
    user: Any
    version: str
    k: int
    items: tuple[Any, ...]
    scores: Float32
    shown: tuple[int, ...]
    propensities: tuple[float, ...] | None = None
    state: str = ""
    call: str = "recommend"
    arms: Mapping[str, str] = field(default_factory=dict)
    weights: Mapping[str, Sequence[float]] = field(default_factory=dict)
    teams: tuple[int, ...] = ()
    context: Mapping[str, Any] = field(default_factory=dict)
    where: Any = None
    policy: Mapping[str, Any] | None = None
    seed: int | None = None
    reasons: tuple[str, ...] = ()
    ms: Mapping[str, float] = field(default_factory=dict)
    request: Mapping[str, Any] | None = None

    @property
    def shown_items(self) -> tuple[Any, ...]:
        """The ids that were shown, from the first position."""
        return tuple(self.items[at] for at in self.shown)

    @property
    def chances(self) -> tuple[float, ...]:
        """The propensity of each position, also where it is 1."""
        return (1.0,) * len(self.shown) if self.propensities is None else self.propensities


def as_line(impression: Impression) -> bytes:
    """The JSON line, with its end."""
    record: dict[str, Any] = {
        "id": impression.id,
        "time": round(impression.time, 3),
        "user": impression.user,
        "version": impression.version,
        "k": impression.k,
        "items": _packed(impression.items),
        "scores": _text(np.asarray(impression.scores, dtype="<f4")),
        "shown": impression.shown,
    }
    if impression.propensities is not None:
        record["propensities"] = _text(np.array(impression.propensities, dtype="<f4"))
    if impression.seed is not None:
        record["seed"] = impression.seed
    for name in _PLAIN:
        value = getattr(impression, name)
        if value is not None and len(value) and not (name == "call" and value == "recommend"):
            record[name] = value
    return (
        json.dumps(record, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode(
            errors="replace"
        )
        + b"\n"
    )


def from_line(line: bytes | str) -> Impression:
    """The impression of a line. Raises: DataError for one that is torn, damaged, or of something else."""
    try:
        return _impression(json.loads(line))
    except (ValueError, KeyError, TypeError, NotBase64, RecursionError) as error:
        raise DataError(f"no line of the log of answers: {type(error).__name__} {error}") from error


def _impression(record: dict[str, Any]) -> Impression:
    items, shown = _unpacked(record["items"]), tuple(record["shown"])
    scores = np.frombuffer(b64decode(record["scores"], validate=True), dtype="<f4").astype(np.float32)
    chances = record.get("propensities")
    if chances is not None:
        chances = tuple(np.frombuffer(b64decode(chances, validate=True), dtype="<f4").tolist())
    _check(record, items, scores, shown, chances)
    _check_experiments(record, len(shown))
    optional = {name: record[name] for name in _PLAIN if name in record}
    for name in ("reasons", "teams"):
        optional[name] = tuple(optional.get(name, ()))
    return Impression(
        id=record["id"],
        time=float(record["time"]),
        user=record["user"],
        version=record["version"],
        k=int(record["k"]),
        items=items,
        scores=scores,
        shown=shown,
        propensities=chances,
        seed=record.get("seed"),
        **optional,
    )


def _check(
    record: dict[str, Any],
    items: Sequence[Any],
    scores: NDArray[Any],
    shown: Sequence[Any],
    chances: Sequence[float] | None,
) -> None:
    """Raises: ValueError for parts that do not fit together."""
    if not isinstance(record["id"], str) or not isinstance(record["version"], str):
        raise ValueError("id and version must be texts")
    if type(record.get("seed", 0)) is not int:
        raise ValueError("seed is no whole number")
    if len(scores) != len(items):
        raise ValueError(f"{len(items)} items, {len(scores)} scores")
    if not all(type(at) is int and 0 <= at < len(items) for at in shown) or len(set(shown)) < len(shown):
        raise ValueError("shown leads outside of items, or to one of them twice")
    if chances is not None and (len(chances) != len(shown) or not all(0 < p <= 1 for p in chances)):
        raise ValueError("propensities are not one a position, above 0 and at most 1")


def _check_experiments(record: dict[str, Any], positions: int) -> None:
    """Raises: ValueError for teams and weights that are none."""
    teams = record.get("teams", ())
    if len(teams) not in (0, positions) or not all(team in (-1, 0, 1) for team in teams):
        raise ValueError("teams are not one a position, each of -1, 0 and 1")
    for period, share in record.get("weights", {}).values():
        if type(period) is not int or period < 0 or not 0 < share <= 1:
            raise ValueError("a weight is no number of a period with a share above 0 and at most 1")


def _packed(items: Sequence[Any]) -> str | Sequence[Any]:
    """In C: a look at each item from Python costs more than all else of a line."""
    try:
        numbers = array("i", items) if items else None
    except (TypeError, OverflowError):  # a text, or a number beyond 32 bits
        numbers = None
    if numbers is None or numbers.itemsize != 4:
        return items
    if sys.byteorder == "big":
        numbers.byteswap()
    return b64encode(numbers).decode("ascii")


def _unpacked(items: Any) -> tuple[Any, ...]:
    if isinstance(items, str):
        return tuple(np.frombuffer(b64decode(items, validate=True), dtype="<i4").tolist())
    if not isinstance(items, list):
        raise ValueError("items are no list")
    return tuple(items)


def _text(values: NDArray[Any]) -> str:
    return b64encode(values.tobytes()).decode("ascii")
