"""Made-up people for tests of judging, and what an independent library says of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

ORACLE = Path(__file__).parent / "tea_tasting.json"

#: Which sums a user each metric is made of: numerator, denominator, and both before.
METRICS = {
    "mean": ("clicks", None, None, None),
    "ratio": ("clicks", "requests", None, None),
    "mean, covariate": ("clicks", None, "clicks_before", None),
    "ratio, covariate": ("clicks", "requests", "clicks_before", "requests_before"),
}


def people(seed: int = 0, users: int = 600) -> dict[str, Any]:
    """Columns [users]: arm (0, 1), and sums in and before the experiment."""
    rng = np.random.default_rng(seed)
    arm = rng.integers(2, size=users)
    taste, rate = rng.beta(2, 8, users), rng.lognormal(1, 0.8, users)
    before, requests = 1 + rng.poisson(rate), 1 + rng.poisson(rate)
    return {
        "arm": arm,
        "requests": requests,
        "clicks": rng.binomial(requests, np.minimum(taste * (1 + 0.2 * arm), 1)),
        "requests_before": before,
        "clicks_before": rng.binomial(before, taste),
    }


def by_tea_tasting(columns: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Each metric as tea-tasting has it, with the normal distribution."""
    import pyarrow as pa
    import tea_tasting as tt

    metrics = {
        name.replace(", ", "_"): tt.RatioOfMeans(*parts, use_t=False) for name, parts in METRICS.items()
    }
    found = tt.Experiment(metrics, variant="arm").analyze(pa.table(columns))
    return {
        name: {key: float(value) for key, value in found[name.replace(", ", "_")]._asdict().items()}
        for name in METRICS
    }


if __name__ == "__main__":  # writes what the tests read where the library is not installed
    ORACLE.write_text(
        json.dumps({str(seed): by_tea_tasting(people(seed)) for seed in range(3)}, indent=1) + "\n"
    )
