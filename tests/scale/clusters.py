"""Clusters of several machines that are all this one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ray.cluster_utils import Cluster

#: Bytes of each machine's memory for results.
STORE = 100 * 2**20


@contextmanager
def made_of(machines: int) -> Iterator[Cluster]:
    """Machines of a core each, whose processes find the classes of tests in whatever folder a test is."""
    one = {"num_cpus": 1, "object_store_memory": STORE}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]), prepend=os.pathsep)
        cluster = Cluster(initialize_head=True, head_node_args={**one, "include_dashboard": False})
        for _ in range(machines - 1):
            cluster.add_node(**one)
    try:
        yield cluster
    finally:
        cluster.shutdown()
