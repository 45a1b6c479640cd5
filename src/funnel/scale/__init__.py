"""The same steps on a cluster: parts of them as Ray's tasks. Ray is imported here alone, and when it is used.

Ray places work and does it again where a worker is lost; what is kept lies in folders that all machines see,
or in a storage that they reach, so that nothing is lost with Ray. Requests never go through it.

    with cluster("local", [Path("indexes"), Path("embeddings")]):
        outcome = run(config, Store("indexes"), Store("embeddings"))
"""

from funnel.scale.config import ScaleConfig
from funnel.scale.connecting import cluster, connected

__all__ = ["ScaleConfig", "cluster", "connected"]
