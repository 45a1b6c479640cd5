"""Answers of a log, put together as lists with the chances that their own and the judged policy have."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from funnel.artifacts.store import Store
from funnel.bundle.contents import Contents, load_contents
from funnel.errors import BundleError, ConfigError
from funnel.impressions import Impression
from funnel.off_policy.judged import JudgedPolicy, LoggedPolicy
from funnel.off_policy.lists import DrawnLists
from funnel.policies import Drawing
from funnel.types import Bool, Float64
from funnel.values.ids import written

#: Answers that are looked at together.
_TOGETHER = 256

#: Chances that come out again are those that were logged to this part: the log has 32 bits of each.
_SAME = 1e-4


@dataclass(frozen=True)
class Batch:
    """Lists of equally many positions, see `DrawnLists`. agree: bool [n], whose logged chances come out
    again. arms: of the experiments that each was in."""

    rewards: Float64
    logged: Float64
    judged: Float64
    agree: Bool
    users: list[str]
    arms: list[Mapping[str, str]]


def batches(
    store: Store,
    judged: JudgedPolicy,
    records: Sequence[Impression],
    rewards: Mapping[str, list[float]],
    left_out: Counter[str],
    lacking: Counter[str],
) -> Iterator[Batch]:
    """Answers of one bundle, one policy and one length, together."""
    groups: dict[tuple[str, int, tuple[float, float, int]], list[Impression]] = defaultdict(list)
    for record in records:
        policy = record.policy or {}
        by = float(policy["temperature"]), float(policy["epsilon"]), int(policy["top"])
        groups[record.version, record.k, by].append(record)
    for version in dict.fromkeys(version for version, _, _ in groups):
        contents = contents_of(store, version)
        for (of, k, (temperature, epsilon, top)), some in groups.items():
            if of != version:
                continue
            if contents is None:
                left_out[f"of {version}, which is not in the store"] += len(some)
                continue
            try:
                judged.check(contents)
            except ConfigError as error:
                left_out[f"of {version}: {error}"] += len(some)
                continue
            logged = LoggedPolicy(Drawing(temperature=temperature, epsilon=epsilon, top=top))
            for start in range(0, len(some), _TOGETHER):
                together = _there(contents, some[start : start + _TOGETHER], left_out)
                together = _held(contents, judged, together, k, lacking)
                if together:
                    yield _batch(contents, judged, logged, together, k, rewards)


def contents_of(store: Store, version: str) -> Contents | None:
    """What a bundle of the store has; None where it cannot be loaded."""
    try:
        return load_contents(store.path(version))
    except BundleError:
        return None


def _there(contents: Contents, records: list[Impression], left_out: Counter[str]) -> list[Impression]:
    there = [record for record in records if (contents.catalogue.ids.rows(list(record.items)) >= 0).all()]
    left_out["with items that came after the bundle"] += len(records) - len(there)
    left_out += Counter()  # drops what is 0
    return there


def _held(
    contents: Contents, judged: JudgedPolicy, records: list[Impression], k: int, lacking: Counter[str]
) -> list[Impression]:
    """Those whose log holds what the judged policy goes by."""
    lacks = judged.lacks(contents, records, k)
    lacking.update(why for why in lacks if why)
    return [record for record, why in zip(records, lacks, strict=True) if not why]


def _batch(
    contents: Contents, judged: JudgedPolicy, logged: LoggedPolicy, there: list[Impression], k: int,
    rewards: Mapping[str, list[float]],
) -> Batch:  # fmt: skip
    again, chances = logged.chances(contents, there, k), _padded([record.chances for record in there], k, 1.0)
    agree = np.asarray(np.isclose(again, chances, rtol=_SAME, atol=0).all(axis=1))
    users = [written(record.user) or f"\0{record.id}" for record in there]
    earned = _padded([rewards[record.id] for record in there], k, 0.0)
    return Batch(earned, chances, judged.chances(contents, there, k), agree, users,
                 [record.arms for record in there])  # fmt: skip


def _padded(lists: Sequence[Sequence[float]], k: int, fill: float) -> Float64:
    out = np.full((len(lists), k), fill)
    for row, values in enumerate(lists):
        out[row, : len(values)] = values
    return out


def joined(parts: Sequence[Batch]) -> tuple[DrawnLists, float]:
    """All lists, and the share of them whose logged chances come out again."""
    k = max(part.rewards.shape[1] for part in parts)

    def whole(name: str, fill: float) -> Float64:
        some = [getattr(part, name) for part in parts]
        return np.concatenate(
            [np.pad(values, ((0, 0), (0, k - values.shape[1])), constant_values=fill) for values in some]
        )

    users = np.array([user for part in parts for user in part.users])
    lists = DrawnLists(whole("rewards", 0.0), whole("logged", 1.0), whole("judged", 1.0), users)
    return lists, float(np.concatenate([part.agree for part in parts]).mean())
