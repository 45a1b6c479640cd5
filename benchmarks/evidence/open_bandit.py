"""The Open Bandit Dataset's small logs: what a bandit earned, told from a log of uniform chance.

    FUNNEL_TEST_DATA=../shared/data python -m benchmarks.evidence open_bandit

An item of 80 was shown at one of three positions; 10,000 rows were chosen by uniform chance, 10,000 by
Bernoulli Thompson sampling, which knows no context, so that its chance of an item at a position is how often
it showed it there. Its value is estimated from the uniform rows alone, by SNIPS and DR, and held beside the
clicks that it had itself.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console

from benchmarks.serving import save
from funnel.off_policy import DrawnLists, Estimate, Predicted, estimate

FOLDER = Path(__file__).resolve().parents[2].parent / "shared" / "data"
ITEMS, POSITIONS, FOLDS = 80, 3, 5

#: Looks that a click rate of all items counts as, beside an item's own.
SHRUNK = 500.0


def main(quick: bool, results: Path) -> None:
    """Measure, print, and write the JSON unless quick. It is quick."""
    folder = Path(os.environ.get("FUNNEL_TEST_DATA", FOLDER)) / "open-bandit-small"
    about = measure(folder)
    Console().print_json(data=about)
    if not quick:
        save("evidence-open-bandit", about, results)


def measure(folder: Path) -> dict[str, Any]:
    """The figures, as plain values."""
    uniform, bandit = (_read(folder / policy / "all.csv") for policy in ("random", "bts"))
    judged = _shares(bandit)
    (own,) = estimate(_lists(bandit, None), ["snips"])
    found = estimate(_lists(uniform, judged), ["snips", "dr"])
    within = [own.lo <= one.value <= own.hi for one in found if _is_known(one, own)]
    return {
        "uniform": {"rows": len(uniform), "clicks": int(uniform["click"].sum())},
        "bandit": {"rows": len(bandit), "clicks": int(bandit["click"].sum()), **_figures(own)},
        "estimated": {one.estimator: _figures(one) for one in found},
        "within_its_interval": len(within) == len(found) and all(within),
    }


def _read(path: Path) -> pd.DataFrame:
    log = pd.read_csv(path, index_col=0)
    log["position"] -= 1  # from 0
    return log


def _is_known(one: Estimate, own: Estimate) -> bool:
    return one.value is not None and own.lo is not None and own.hi is not None


def _figures(one: Estimate) -> dict[str, float | None]:
    return {"value": one.value, "lo": one.lo, "hi": one.hi, "effective": round(one.effective)}


def _shares(log: pd.DataFrame) -> NDArray[np.float64]:
    """How often each item stood at each position: [positions, items], each position's are 1 together."""
    often = np.zeros((POSITIONS, ITEMS))
    np.add.at(often, (log["position"].to_numpy(), log["item_id"].to_numpy()), 1.0)
    return often / often.sum(axis=1, keepdims=True)


def _lists(log: pd.DataFrame, judged: NDArray[np.float64] | None) -> DrawnLists:
    """Lists of one item. judged: None for what the log did itself."""
    position, item = log["position"].to_numpy(), log["item_id"].to_numpy()
    clicks = log["click"].to_numpy(dtype=float)
    chance = log["propensity_score"].to_numpy(dtype=float)
    if judged is None:
        return DrawnLists(clicks[:, None], chance[:, None], chance[:, None])
    people = log.filter(regex="^user_feature").astype(str).agg("".join, axis=1)
    folds = pd.util.hash_array(people.to_numpy(dtype=object)) % FOLDS
    rates = np.stack([_rates(item[folds != fold], clicks[folds != fold]) for fold in range(FOLDS)])[folds]
    here = rates[np.arange(len(log)), item]
    before = (rates * judged[position]).sum(axis=1)
    predicted = Predicted(here[:, None], before[:, None])
    return DrawnLists(clicks[:, None], chance[:, None], judged[position, item][:, None], predicted=predicted)


def _rates(item: NDArray[np.int64], clicks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Clicks of each item a look, drawn to those of all."""
    shown = np.bincount(item, minlength=ITEMS)
    clicked = np.bincount(item, weights=clicks, minlength=ITEMS)
    return np.asarray((clicked + SHRUNK * clicks.mean()) / (shown + SHRUNK))
