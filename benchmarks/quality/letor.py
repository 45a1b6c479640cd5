"""The ranker alone on LETOR's MQ2008: graded lists, fold 1; the number of trees is chosen on vali."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from benchmarks.quality.funnels import assignment
from benchmarks.quality.result import Result, here, processor_seconds
from funnel.errors import ConfigError
from funnel.evaluation import Value, interval
from funnel.ranker import Ranker, RankerConfig
from funnel.ranker.letor import graded_ndcg, read_letor

FEATURES = 46


def run(data: Path, seed: int, changes: list[str], label: str = "") -> Result:
    """NDCG@10, exponential gain, of the test part; a query without a relevant document counts 1."""
    began, used = time.perf_counter(), processor_seconds()
    try:
        config = RankerConfig.model_validate({"seed": seed, **dict(map(assignment, changes))})
    except ValidationError as error:
        raise ConfigError(f"--set {' '.join(changes)}: {error}") from error
    train, vali, test = (read_letor(data / f"{part}.txt", FEATURES) for part in ("train", "vali", "test"))
    ranker = Ranker.fit(train, vali, config)
    rows = {}
    for name, part in (("vali", vali), ("rank", test)):
        values = graded_ndcg(ranker.predict(part.matrix), part.labels, part.sizes)
        lo, hi = interval(values, seed=config.seed)
        rows[name] = {"ndcg@10": Value(mean=float(values.mean()), lo=lo, hi=hi)}
    digest = hashlib.sha256(b"".join((data / f"{n}.txt").read_bytes() for n in ("train", "vali", "test")))
    return Result(
        dataset="mq2008",
        label=label,
        seed=config.seed,
        checksum=digest.hexdigest(),
        protocol="LETOR 4.0, fold 1, trees chosen on vali",
        requests=len(np.asarray(test.sizes)),
        rows=rows,
        notes=(f"{ranker.trees} trees",),
        seconds={"total": round(time.perf_counter() - began, 1)},
        config=config.model_dump(mode="json"),
        **here(used),
    )
