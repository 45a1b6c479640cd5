"""Lists that were shown, what they earned, and the chances that two policies have of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funnel.errors import DataError
from funnel.types import Float64


@dataclass(frozen=True)
class Predicted:
    """What a model says that lists earn; the better it is, the narrower the intervals, and no model makes
    them wrong where the chances are right.

    It must not have learned from the very lists that it predicts (learn on other users).
    here: float64 [n, k], for each position what the list earns from there on, given the items down to it.
    before: float64 [n, k], the same on average over the item that the judged policy has there, given the
    items above. So `before[:, 0]` is what a list of the judged policy is thought to earn.
    whole: float64 [n], what the whole shown list is thought to earn; default `here[:, 0]`, where the model
    does not know of items further down than the first.
    """

    here: Float64
    before: Float64
    whole: Float64 | None = None


@dataclass(frozen=True)
class DrawnLists:
    """n lists of at most k positions.

    rewards: float64 [n, k], what came of each position, such as 1 for a click; 0 behind the end of a list.
    logged: float64 [n, k], the chance that each position had of its item given the items above, when it was
    shown; 1 behind the end. judged: the same chance under the policy that is judged, 0 where it cannot have
    that item there.
    users: [n], equal where lists are of one user, who is drawn as a whole; None: every list is another's.
    logged_marginal, judged_marginal: float64 [n, k], the chance of the item at that position whatever stands
    above, which "iips" needs and no answer knows; None where nobody computed it.
    predicted: of a model, which "dr" and "cascade_dr" need.

    Raises: DataError for shapes that differ, chances outside of 0…1, or a logged chance of 0.
    """

    rewards: Float64
    logged: Float64
    judged: Float64
    users: NDArray[Any] | None = None
    logged_marginal: Float64 | None = None
    judged_marginal: Float64 | None = None
    predicted: Predicted | None = None

    def __post_init__(self) -> None:
        shape = np.shape(self.rewards)
        if len(shape) != 2 or not shape[0] or not shape[1]:
            raise DataError(
                f"rewards are of shape {list(shape)}; [lists, positions] is expected, one at least"
            )
        if not np.isfinite(self.rewards).all():
            raise DataError("a reward is not a finite number")
        for name in ("logged", "judged", "logged_marginal", "judged_marginal"):
            values = getattr(self, name)
            if values is not None:
                _check_chances(values, shape, name, least_open=name.startswith("logged"))
        if self.users is not None and len(self.users) != shape[0]:
            raise DataError(f"there are {len(self.users):,} users for {shape[0]:,} lists")

    def __len__(self) -> int:
        return len(self.rewards)

    @property
    def is_deterministic(self) -> bool:
        """Whether nothing was left to chance: what else could have been shown is not known then."""
        return bool((self.logged == 1).all())


def _check_chances(values: Float64, shape: tuple[int, ...], name: str, *, least_open: bool) -> None:
    """Raises: DataError naming the first list with a chance that cannot be one."""
    if np.shape(values) != shape:
        raise DataError(f"{name} is of shape {list(np.shape(values))}, rewards of {list(shape)}")
    low = values <= 0 if least_open else values < 0
    wrong = low | (values > 1 + 1e-6) | ~np.isfinite(values)
    if wrong.any():
        row, position = (int(at[0]) for at in np.nonzero(wrong))
        raise DataError(
            f"{name}: {float(values[row, position])!r} for position {position + 1} of list {row}; a chance "
            f"{'above 0 and ' if least_open else ''}within 0 and 1 is expected"
        )
