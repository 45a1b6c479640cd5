"""Clusters of several machines that are all this one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import ray
from ray.cluster_utils import Cluster

#: Bytes of each machine's memory for results.
STORE = 100 * 2**20


#: Runs a command, as root, for which some folders are empty and its own: in a namespace of mounts.
HIDING = [
    "unshare",
    "-m",
    "sh",
    "-c",
    'until [ "$1" = -- ]; do mount -t tmpfs none "$1"; shift; done; shift; exec "$@"',
]


@contextmanager
def apart(machines: int, hidden: Sequence[Path]) -> Iterator[str]:
    """Machines of a core each, in each of which these folders are empty and its own; their address. This
    process is part of a further one without cores, as long as they are there."""
    if subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode:
        pytest.skip("folders are hidden by root alone")
    start = [str(Path(sys.executable).parent / "ray"), "start", "--block", "--num-cpus=1"]
    head = {"num_cpus": 0, "object_store_memory": STORE, "include_dashboard": False}
    with ExitStack() as ending, _classes():
        cluster = Cluster(initialize_head=True, head_node_args=head)
        ending.callback(cluster.shutdown)
        ray.init(address=cluster.address, logging_level="WARNING")
        ending.callback(ray.shutdown)
        start += [f"--address={cluster.address}", f"--object-store-memory={STORE}"]
        for number in range(machines):
            command = [*HIDING, "sh", *map(str, hidden), "--", *start]
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            ending.callback(process.wait, 60)
            ending.callback(process.terminate)
            while len(ray.nodes()) < 2 + number:  # one after the other: two at once take the same socket
                assert process.poll() is None
                time.sleep(0.2)
        yield cluster.address


@contextmanager
def _classes() -> Iterator[None]:
    """What is started finds the classes of tests, in whatever folder a test is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]), prepend=os.pathsep)
        yield


@contextmanager
def made_of(machines: int) -> Iterator[Cluster]:
    """Machines of a core each, all in the same folders."""
    one = {"num_cpus": 1, "object_store_memory": STORE}
    with _classes():
        cluster = Cluster(initialize_head=True, head_node_args={**one, "include_dashboard": False})
        for _ in range(machines - 1):
            cluster.add_node(**one)
    try:
        yield cluster
    finally:
        cluster.shutdown()
