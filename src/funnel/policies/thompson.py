"""Weights of arms that go to the better ones, fixed between updates: so a weight is the chance that a user
had of an arm, and what an arm earns can be told although its share went by what it had earned.

An arm is whatever answers: a version of a bundle, or a policy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from funnel.errors import DataError
from funnel.types import Float64

#: Points of the integral over what the best arm earns.
_POINTS = 2_001


@dataclass(frozen=True)
class Period:
    """Between two updates, by arm. weights: the chance that each user had of it, above 0 and 1 together.
    users: how many had it. total, squares: sums of what each of its users earned, and of its square."""

    weights: Mapping[str, float]
    users: Mapping[str, float]
    total: Mapping[str, float]
    squares: Mapping[str, float]

    def __post_init__(self) -> None:
        """Raises: DataError for weights that are no chances, or sums of other arms."""
        whole = sum(self.weights.values())
        if not self.weights or min(self.weights.values()) <= 0 or abs(whole - 1) > 1e-9:
            raise DataError(f"weights {dict(self.weights)} of arms must be above 0, and 1 together")
        for name in ("users", "total", "squares"):
            if set(getattr(self, name)) != set(self.weights):
                raise DataError(f"{name} are of the arms {sorted(getattr(self, name))}, weights of others")


@dataclass(frozen=True)
class ArmValue:
    """What an arm earns a user, with its interval."""

    value: float
    lo: float
    hi: float


def next_weights(arms: Sequence[str], periods: Sequence[Period], *, least: float = 0.02) -> dict[str, float]:
    """The weights of the next period: the chance that each arm is the best, by what it earned so far
    (Thompson sampling with normal posteriors), but at least `least`. Nothing is drawn: the same periods, the
    same weights.

        weights = next_weights(["bundle-a", "bundle-b"], periods)

    Raises: DataError where `least` leaves no room, or for periods of other arms.
    """
    if not 0 <= least * len(arms) <= 1 or not arms:
        raise DataError(f"least is {least!r}: {len(arms)} arms of at least that must be within 1")
    users, means, variance = _known(arms, periods)
    if not periods or variance == 0 or (users == 0).any():
        return dict.fromkeys(arms, 1 / len(arms))
    best = _chance_of_best(means, np.sqrt(variance / users))
    weights = least + (1 - least * len(arms)) * best
    return dict(zip(arms, (weights / weights.sum()).tolist(), strict=True))


def arm_values(arms: Sequence[str], periods: Sequence[Period], level: float = 0.95) -> dict[str, ArmValue]:
    """What each arm earns a user.

    The plain mean of an arm is too low: one that had bad luck gets few users and no chance to make it good,
    and its interval is too narrow. Here a user counts by one over the chance of the arm, which is exact, and
    periods by the root of it, which keeps the variance even (Hadad, Hirshberg, Zhan, Wager and Athey, PNAS
    2021, with the mean of the periods before as the model).
    """
    z = NormalDist().inv_cdf((1 + level) / 2)
    return {arm: _value(arm, periods, z) for arm in arms}


def _known(arms: Sequence[str], periods: Sequence[Period]) -> tuple[Float64, Float64, float]:
    """Users and mean of each arm, and the variance of a user within arms."""
    for period in periods:
        if set(period.weights) != set(arms):
            raise DataError(f"a period is of the arms {sorted(period.weights)}, not of {sorted(arms)}")
    users, total, squares = (
        np.array([sum(float(getattr(period, name)[arm]) for period in periods) for arm in arms])
        for name in ("users", "total", "squares")
    )
    means = np.divide(total, users, out=np.zeros(len(arms)), where=users > 0)
    spread = squares.sum() - float((users * means**2).sum())
    return users, means, max(0.0, spread) / max(1.0, float(users.sum()) - len(arms))


def _chance_of_best(means: Float64, errors: Float64) -> Float64:
    """Of independent normals, by Simpson's rule."""
    from scipy.special import ndtr  # a tenth of a second, and rarely wanted

    low, high = (means - 8 * errors).min(), (means + 8 * errors).max()
    x = np.linspace(low, high, _POINTS)[:, None]
    z = (x - means) / errors
    below, density = ndtr(z), np.exp(-0.5 * z**2) / errors
    rest = [np.delete(below, arm, axis=1).prod(axis=1) for arm in range(len(means))]
    simpson = np.where(np.arange(_POINTS) % 2, 4.0, 2.0)
    simpson[[0, -1]] = 1.0
    chance = np.array([(simpson * density[:, arm] * rest[arm]).sum() for arm in range(len(means))])
    return np.asarray(chance / chance.sum())


def _value(arm: str, periods: Sequence[Period], z: float) -> ArmValue:
    """Sums over users of h · Γ, h, h² · Γ² and so on, where Γ = m + 1{arm} (reward − m) / chance."""
    h_sum = h_score = h_2 = h_2_score = h_2_square = 0.0
    mean, seen, total = 0.0, 0.0, 0.0
    for period in periods:
        chance, n = period.weights[arm], float(sum(period.users.values()))
        own, reward, square = (float(getattr(period, name)[arm]) for name in ("users", "total", "squares"))
        score = n * mean + (reward - own * mean) / chance
        left = square - 2 * mean * reward + own * mean**2
        score_square = n * mean**2 + 2 * mean * (reward - own * mean) / chance + left / chance**2
        h = chance**0.5
        h_sum, h_score = h_sum + h * n, h_score + h * score
        h_2, h_2_score, h_2_square = (
            h_2 + chance * n,
            h_2_score + chance * score,
            h_2_square + chance * score_square,
        )
        seen, total = seen + own, total + reward
        mean = total / seen if seen else 0.0
    value = h_score / h_sum
    half = z * max(0.0, h_2_square - 2 * value * h_2_score + value**2 * h_2) ** 0.5 / h_sum
    return ArmValue(value, value - half, value + half)
