"""How fast a loaded bundle answers: one request after another, and in batches."""

from __future__ import annotations

import time

import numpy as np

from funnel.evaluation import Latency, machine
from funnel.serving.live import Live
from funnel.serving.request import of_users
from funnel.settings import Settings

_WARM = 20


class Measured(Settings):
    """Latency a stage and of the whole, in milliseconds; throughput in requests a second."""

    version: str
    requests: int
    batch: int
    stages: dict[str, Latency]
    total: Latency
    throughput: float
    machine: str


def measure(live: Live, requests: int = 1000, *, batch: int = 256, seed: int = 0) -> Measured:
    """Time requests of the bundle's users, drawn by the seed, first one at a time, then in batches.

    requests: how many. batch: requests of a batch.
    """
    contents = live.contents
    users = np.random.default_rng(seed).integers(len(contents.users.ids), size=requests)
    batch_requests = of_users(contents, users)
    funnel = contents.funnel()
    singles = [batch_requests.take(np.array([i])) for i in range(requests)]
    for single in singles[:_WARM]:
        funnel(single)
    steps = [funnel.trace(single) for single in singles]
    seconds = np.array([[step.seconds for step in trace] for trace in steps])
    start = time.perf_counter()
    for first in range(0, requests, batch):
        funnel(batch_requests.take(np.arange(first, min(first + batch, requests))))
    elapsed = time.perf_counter() - start
    return Measured(
        version=live.version,
        requests=requests,
        batch=batch,
        stages={step.name: Latency.of(seconds[:, i]) for i, step in enumerate(steps[0])},
        total=Latency.of(seconds.sum(axis=1)),
        throughput=requests / elapsed,
        machine=machine(),
    )
