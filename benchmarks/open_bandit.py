"""What a head of probabilities can learn from few logged clicks: the Open Bandit Dataset's small logs.

An item of 80 is shown at one of three positions, by chance in one log and by a bandit in the other; 80 of
20,000 rows were clicked. The trees and the calibration of a bundle's heads learn from the first part of the
log, looks corrected by position, and are judged on the rest. Nothing else of the funnel takes part: the data
have neither users nor lists.

    python -m benchmarks.open_bandit --data ../shared/data/open-bandit-small [--out FILE]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console

from funnel.evaluation.machine import machine, versions
from funnel.evaluation.reliability import reliability
from funnel.ranker.calibration import base_rate, calibrate
from funnel.ranker.calibration.sigmoid import Seen
from funnel.ranker.config import RankerConfig
from funnel.ranker.outcome_trees import OutcomeRows
from funnel.ranker.propensity import Propensities, estimate_propensities
from funnel.ranker.target_trees import cross_fit, grow
from funnel.ranker.trees import Forest

#: The part of the time that is learned from, and folds of what people are known by.
LEARNED, FOLDS = 0.6, 4


def main() -> None:
    """Learn, judge, print, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    text = json.dumps(measure(arguments.data), indent=1)
    Console().print_json(text)
    if arguments.out:
        arguments.out.write_text(text + "\n")


def measure(folder: Path, seed: int = 0) -> dict[str, Any]:
    """The figures of the trees, and of saying the same of every row."""
    log = read(folder)
    learned = np.arange(len(log)) < LEARNED * len(log)
    looks = propensities(log[learned])
    rows = outcomes(log, looks)
    train, test = rows.take(learned), rows.take(~learned)
    config = RankerConfig(seed=seed)
    models, trees = cross_fit(train, config)
    held_out = np.empty(len(train))
    for model, fold in zip(models, np.unique(train.folds), strict=True):
        mine = train.folds == fold
        held_out[mine] = Forest(model).rows(train.matrix[mine])
    seen = Seen(train.examined, train.weights)
    heads = {
        "trees": (
            calibrate(held_out, train.happened, train.folds, seen),
            Forest(grow(train, trees, config)).rows(test.matrix),
        ),
        "the same of every row": (base_rate(train.happened, seen), np.zeros(len(test))),
    }
    return {
        "rows": len(log), "clicks": int(log["click"].sum()), "learned": int(learned.sum()),
        "clicks_learned": int(train.happened.sum()), "trees": trees,
        "positions": [round(float(each), 4) for each in looks.at(np.arange(3))],
        "heads": {
            name: reliability(
                "click", head.calibration.method, np.clip(head(scores) * test.examined, 0, 1), test.happened,
                test.folds, seed=seed,
            ).model_dump(mode="json", exclude={"bins", "slices"})
            for name, (head, scores) in heads.items()
        },
        "machine": machine(), "versions": versions(),
    }  # fmt: skip


def read(folder: Path) -> pd.DataFrame:
    """Both logs in the order of time, each with what is known of its item."""
    parts = []
    for policy in ("random", "bts"):
        log = pd.read_csv(folder / policy / "all.csv", index_col=0)
        affinity = log.filter(regex="^user-item_affinity").to_numpy()
        log["affinity"] = affinity[np.arange(len(log)), log["item_id"]]
        items = pd.read_csv(folder / policy / "item_context.csv", index_col=0)
        log["position"] -= 1  # from 0
        parts.append(log.drop(columns=log.filter(regex="^user-item").columns).merge(items, on="item_id"))
    return pd.concat(parts).sort_values("timestamp", kind="stable", ignore_index=True)


def propensities(log: pd.DataFrame) -> Propensities:
    """How far each position is looked at, from items that were shown at several."""
    return estimate_propensities(
        log["item_id"].to_numpy(), log["position"].to_numpy(), log["click"].to_numpy().astype(bool)
    )


def outcomes(log: pd.DataFrame, looks: Propensities) -> OutcomeRows:
    """Rows as the heads take them; categories are numbers in the order of their names. Who is alike in all
    that is known is one person."""
    columns = [
        name for name in log if name.startswith(("user_feature", "item_feature")) or name == "affinity"
    ]
    table = {
        name: log[name]
        if pd.api.types.is_numeric_dtype(log[name])
        else log[name].astype("category").cat.codes
        for name in columns
    }
    people = log.groupby([name for name in columns if name.startswith("user")]).ngroup().to_numpy()
    return OutcomeRows(
        matrix=np.stack([np.asarray(table[name], dtype=np.float32) for name in columns], axis=1),
        names=tuple(columns),
        happened=log["click"].to_numpy().astype(bool),
        examined=looks.examined(log["position"].to_numpy()),
        weights=np.ones(len(log)),
        folds=shuffled(people, FOLDS),
    )


def shuffled(people: NDArray[Any], folds: int) -> NDArray[np.int64]:
    """A fold for each row, the same for one person."""
    return np.random.default_rng(0).permutation(people.max() + 1)[people].astype(np.int64) % folds


if __name__ == "__main__":
    main()
