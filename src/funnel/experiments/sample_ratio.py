"""Whether users came into the arms as declared: where they did not, no other figure can be believed.

The test may be looked at after every user: its statistic is a mixture of likelihood ratios, which
exceeds 1 / alpha ever with a chance of at most alpha (Lindon and Malek, "Anytime-valid inference for
multinomial count data", arXiv 2011.03567).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln

from funnel.errors import FunnelError

#: How near to the declared shares the mixture looks: the prior's weight in users. A mismatch of a tenth of a
#: percent to some percent is what faults look like.
PRIOR = 100.0


def evidence(counts: ArrayLike, shares: Sequence[float]) -> NDArray[np.float64]:
    """Natural logarithm of the evidence against the shares: [...]; above log(1 / alpha) they are not kept to.

    counts: users by arm so far, [..., arms]. shares: of the arms, as declared, all above 0; scaled to 1.
    Raises: FunnelError for a share that is not above 0, or another number of arms.

    >>> float(evidence([5_000, 5_300], [0.5, 0.5]).round(1))
    2.0
    """
    users, expected = np.asarray(counts, dtype=np.float64), np.asarray(shares, dtype=np.float64)
    if users.shape[-1:] != expected.shape or not (expected > 0).all():
        raise FunnelError(f"{users.shape[-1]} counts and shares {list(shares)}: a share above 0 an arm")
    expected = expected / expected.sum()
    prior = PRIOR * expected
    mixture = gammaln(PRIOR) - gammaln(PRIOR + users.sum(axis=-1))
    mixture = mixture + (gammaln(prior + users) - gammaln(prior)).sum(axis=-1)
    return np.asarray(mixture - (users * np.log(expected)).sum(axis=-1))


def p_value(counts: ArrayLike, shares: Sequence[float]) -> NDArray[np.float64]:
    """An always-valid p-value of these counts: its least over all looks is one too."""
    return np.asarray(np.minimum(1.0, np.exp(-evidence(counts, shares))))
