"""A loss: Bayesian personalised ranking (Rendle et al. 2009) over the shared negatives."""

from __future__ import annotations

from typing import Any

import funnel


@funnel.register("loss", "bpr")
def bpr(config: Any, n_items: int, *, margin: float = 0.0) -> funnel.Loss:
    """-mean log sigma(target - negative - margin); negatives that are a target of the query do not count."""
    import torch
    import torch.nn.functional as F

    def loss(queries: Any, positives: Any, negatives: Any, targets: Any, query_of: Any, drawn: Any) -> Any:
        target = (queries[query_of] * positives).sum(1, keepdim=True)
        ahead = target - (queries @ negatives.T)[query_of] - margin
        own = targets[:, None] == drawn.items[None, :]
        return torch.where(own, 0.0, F.softplus(-ahead)).sum() / (~own).sum().clamp(min=1)

    return loss
